"""``python -m tests.fuzz --inputs 1500``: random calls of the public API, in a child process that may die.

One seed is one input, the same in every run: ``--only 12345`` runs it here and shows the call. A long run is cut by
``--part 2/8``, keeps each seed's end in ``--store FILE.jsonl``, and goes on from there with ``--resume``; ``--sum FILE…``
adds stores up. The exit code is 1 where anything failed. Seeds move where the public API or the generator changes, so what
was found is kept as a test by its call, in test_found.py.
"""
from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SLOW, HANG, MEMORY = 20.0, 90.0, 12 * 2**30       # seconds of a processor; bytes
ASLEEP = 1800.0                                   # seconds of the clock: it waits for what never comes


@contextlib.contextmanager
def _captured() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def one(seed: int, folder: Path, show: bool = False) -> dict[str, Any]:
    """Make the call of a seed and ask every oracle; the record has ``end`` answered, refused or failed, and ``why``."""
    from tests.fuzz import generator, oracles
    began, said = time.process_time(), None           # of this process alone: others may share its cores
    call = result = error = None
    caught: list[str] = []
    with warnings.catch_warnings(), contextlib.chdir(folder):     # junk may be taken for the name of a file
        warnings.simplefilter("always")
        warnings.showwarning = lambda *told, **_: caught.append(oracles.leaked(*told))
        try:
            call = generator.call_of(seed, folder)
            if show:
                print(call, file=sys.__stdout__)
            before = oracles.Unchanged(call)
            with _captured() if call.label == "cli.main" else contextlib.nullcontext():
                result = call.run()
            oracles.looked_at(result)
        except BaseException as problem:
            error = problem
    why = list(dict.fromkeys(caught))
    if error is not None:
        why += [oracles.exception(error), oracles.finite(error)]
        said = f"{type(error).__name__}: {error}"
    if call is not None:
        why.append(before.told())
    if error is None:
        why += [oracles.finite(result), oracles.certificate(call, result)]
    spent = time.process_time() - began
    why.append(f"slow: more than {SLOW:g} s" if spent > SLOW else None)
    why = [w for w in why if w]
    if show:
        print(said or repr(result)[:2000])
    label = call.label if call else "(an object for it)"
    return {"seed": seed, "label": label, "end": "failed" if why else "refused" if error else "answered", "why": why,
            "seconds": round(spent, 3)} | ({"call": str(call)} if why else {})


def child(seeds: list[int]) -> None:
    """Run seeds in this process; records go to what was stdout, which now goes to a file that must stay empty."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    noise = os.open(folder / "noise", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(noise, 1)
    os.dup2(noise, 2)
    os.environ["MPLBACKEND"] = "agg"
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    last = os.open(os.environ["FUZZ_LAST_WORDS"], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    faulthandler.enable(last)
    from fastbias.engine.cache import COMPILING
    from fastbias.forward import continuous
    continuous.CALLS = 30_000                                 # a flow that gives up is to do so soon: here many do
    faulthandler.register(signal.SIGPROF, last, chain=True)   # says where, and ends the process
    for seed in seeds:
        print(json.dumps({"begin": seed}), file=out)
        signal.setitimer(signal.ITIMER_PROF, HANG)            # of this process alone: others may share its cores
        faulthandler.dump_traceback_later(ASLEEP, exit=True, file=last)
        if os.environ.get("FUZZ_DIES_AT") == str(seed):       # for the test of the machine itself
            os.kill(os.getpid(), signal.SIGSEGV)
        record = one(seed, folder)
        if any(why.startswith("slow") for why in record["why"]):
            record = one(seed, folder)                        # what is compiled the first time is not the call's fault
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        sys.stdout.flush()
        said = os.pread(noise, 300, 0).decode(errors="replace")
        os.ftruncate(noise, 0)
        if said := said.replace(f"{COMPILING}\n", ""):       # (which an installation says once)
            record["why"].append(f"printed: {said!r}")
            record["end"] = "failed"
        print(json.dumps(record), file=out)
    shutil.rmtree(folder)


def parent(seeds: list[int], report: Any) -> None:
    """Hand seeds to children; a child that dies or hangs costs its seed, and the next one goes on behind it."""
    with tempfile.TemporaryDirectory() as folder:
        words = os.path.join(folder, "words")
        while seeds:
            some, under_way = seeds[:2000], None
            command = [sys.executable, "-m", "tests.fuzz", "--child", ",".join(map(str, some))]
            env = os.environ | {"FUZZ_LAST_WORDS": words}
            done = 0
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    record = json.loads(line)
                    under_way = record.get("begin", under_way)
                    if "end" in record:
                        report(record)
                        done, under_way = done + 1, None
                code = process.wait()
            if code and under_way is None and done < len(some):
                raise SystemExit(f"the fuzzer itself ended with code {code}: {Path(words).read_text()[-2000:]}")
            if under_way is not None:
                told = Path(words).read_text()
                ours = re.findall(r'fastbias/(\S+)", line (\d+)', told)[:3]
                what = "hang" if "Timeout" in told or code == -signal.SIGPROF else f"died with code {code}"
                report({"seed": under_way, "label": "?", "end": "failed", "seconds": HANG,
                        "why": [f"{what} at {' < '.join(':'.join(place) for place in ours)}"]})
                done += 1
            seeds = seeds[done:]


def kind(why: str) -> str:
    """Failures of one kind differ in their numbers alone; exceptions that are not ours are told apart by type and place."""
    told, _, place = " ".join(why.split()).rpartition(" at ")
    if told.startswith(("foreign", "not our", "no sentence", "warning")):
        told = told.partition(": ")[0] if told.startswith(("foreign", "warning")) else ": ".join(told.split(": ")[:2])
        return f"{told} at {' < '.join(place.split(' < ')[1:]) or place}"
    return re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", " ".join(why.split()))[:120]


def summary(records: list[dict[str, Any]], names: int = 4) -> int:
    """Print what came of all; returns how many failed."""
    ends = Counter(record["end"] for record in records)
    spent = sum(record["seconds"] for record in records)
    print(f"{len(records)} inputs in {spent:.0f} s: {ends['answered']} answered, {ends['refused']} refused, "
          f"{ends['failed']} failed")
    kinds: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        for why in record["why"]:
            kinds.setdefault(kind(why), []).append(record)
    for told, some in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        labels = ", ".join(name for name, _ in Counter(r["label"] for r in some).most_common(3))
        print(f"{len(some):6} × {told}  [{labels}] seeds {', '.join(str(r['seed']) for r in some[:names])}")
    return ends["failed"]


def read(store: str) -> list[dict[str, Any]]:
    if not os.path.exists(store):
        return []
    lines = Path(store).read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--part", default="1/1", help="i/n: every n-th seed, from the i-th on")
    parser.add_argument("--label", default="", help="a pattern: leave out the seeds that call something else")
    parser.add_argument("--store", help="a file of one JSON record a line, appended to")
    parser.add_argument("--resume", action="store_true", help="leave out the seeds that the store has")
    parser.add_argument("--only", type=int, nargs="+", help="run these seeds here, and show them")
    parser.add_argument("--sum", nargs="+", metavar="STORE", help="add up stores, run nothing")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child([int(s) for s in options.child.split(",")])
        return 0
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            records = [one(seed, Path(folder), show=True) for seed in options.only]
        print(*(f"{r['seed']} {r['label']}: {r['end']} {r['why']}" for r in records), sep="\n")
        return int(any(r["why"] for r in records))
    if options.sum:
        records = list({r["seed"]: r for store in options.sum for r in read(store)}.values())
        return int(summary(records) > 0)
    i, n = map(int, options.part.split("/"))
    records = read(options.store) if options.store and options.resume else []
    known = {r["seed"] for r in records}
    seeds = [s for s in range(options.seed, options.seed + options.inputs) if s % n == i - 1 and s not in known]
    if options.label:
        from tests.fuzz.generator import target_of
        seeds = [s for s in seeds if re.search(options.label, target_of(s)[0])]
    if options.store and not options.resume:
        Path(options.store).write_text("")

    def report(record: dict[str, Any]) -> None:
        records.append(record)
        if options.store:
            with open(options.store, "a") as store:
                print(json.dumps(record), file=store)
        if record["why"]:
            print(record["seed"], record["label"], *record["why"], flush=True)
    parent(seeds, report)
    return int(summary(records) > 0)


if __name__ == "__main__":
    sys.exit(main())
