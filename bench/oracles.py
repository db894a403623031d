"""What separability and maximum margins cost as data grow, and ℓ2 beside scikit-learn: time, accuracy, memory.

    python -m bench.oracles [--tasks l2,l1] [--kinds thin,apart] [--rows 4000,8000] [--features 25,50] [--patience 30]
                            [--sizes 100000x200,1000000x50] [--against 2000x20,8000x40] [--rounds 3] [--out DIR]

Growth: rows double at `FEATURES` features, then features at `ROWS` rows, then any --sizes; a task ends its curve with the
first size that takes longer than --patience. "gap" is the relative duality gap of a margin, or what `fb.separability` leaves where the
answer is no. Memory is the peak during the call, over what was there before (Linux).

Against scikit-learn: the estimators take turns for --rounds rounds, of which the median counts. What is compared with the
certified maximum is the least margin of their weights over their length, recomputed here: the shortfall is 1 − margin/maximum.
LinearSVC has no intercept; SVC always has one, so that it is given each sample and its mirror image through 0, for which
the best intercept is 0 and the maximum margin is the same.
"""
from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np

import fastbias as fb
from bench import table, timing

ROWS, FEATURES = 20_000, 50                                # where the other one grows
SHOWN = (8_000, 50), (128_000, 50), (20_000, 400), (100_000, 200), (1_000_000, 50)     # in the README, of those measured
KINDS = {                                                  # pushed apart by, wrong labels
    "thin": (0.0, 0.0), "apart": (1.0, 0.0), "flipped": (0.0, 0.01), "one flipped": (0.0, 1e-9)}
MARGINS: dict[str, fb.norms.Norm | str] = {"l2": "l2", "l1": "l1", "linf": "linf", "l1.5": fb.norms.lp(1.5)}
TASKS = ("separability", *MARGINS)
HERE = Path(__file__).resolve().parent
MARK = Path("/proc/self/clear_refs")                       # where Linux is told to forget a peak
Cell = dict[str, Any]
FIELDS = "task", "kind", "N", "d", "seconds", "wall", "gap", "certified", "MB"


def data(kind: str, N: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal points X (N, d) with the labels y (N,) of a random w, at its plane ("thin"), pushed off it by one ("apart"),
    one in a hundred labels wrong ("flipped"), or a single one.
    """
    push, wrong = KINDS[kind]
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(N, d)), rng.normal(size=d)
    y = np.where(X @ w > 0, 1.0, -1.0)
    X += push * y[:, None] * w / np.linalg.norm(w)
    y[rng.choice(N, int(np.ceil(wrong * N)), replace=False)] *= -1
    return X, y


class Answer(NamedTuple):
    """What an oracle said, and whether that is proved."""

    gap: float
    certified: bool


def ask(task: str, X: np.ndarray, y: np.ndarray) -> Answer:
    """One question to one oracle."""
    if task == "separability":
        told = fb.separability(X, y)
        return Answer(0.0 if told else told.residual, True)
    limit = fb.max_margin(X, y, MARGINS[task])
    return Answer(limit.duality_gap, limit.certified)


def peak() -> float:
    """The most memory that this process had since `forget`, in MB; NaN where the system does not say."""
    return next((int(line.split()[1]) / 1024 for line in _status() if line.startswith("VmHWM")), np.nan)


def forget() -> float:
    """Begin a new peak; the memory that there is now, in MB."""
    if MARK.exists():
        MARK.write_text("5")
    return next((int(line.split()[1]) / 1024 for line in _status() if line.startswith("VmRSS")), np.nan)


def _status() -> list[str]:
    path = Path("/proc/self/status")
    return path.read_text().splitlines() if path.exists() else []


def cell(task: str, kind: str, N: int, d: int, seed: int = 0) -> Cell:
    """One point of a curve."""
    X, y = data(kind, N, d, seed)
    before, wall, cpu = forget(), perf_counter(), process_time()
    told = ask(task, X, y)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    return dict(zip(FIELDS, (task, kind, N, d, cpu, wall, told.gap, told.certified, peak() - before), strict=True))


def curves(options: argparse.Namespace) -> Iterator[tuple[str, list[tuple[str, str, int, int]]]]:
    """The title of each table, and the curves in it: the sizes at which a task is asked, in order."""
    for task in options.tasks:
        for kind in options.kinds:
            if task != "separability" and KINDS[kind][1]:      # no margin
                continue
            for what, sizes in (("rows", [(N, FEATURES) for N in options.rows]),
                                ("features", [(ROWS, d) for d in options.features]), ("sizes", options.sizes)):
                if sizes:
                    yield f"{task}, {kind}: {what}", [(task, kind, *size) for size in sizes]


def growth(options: argparse.Namespace) -> Iterator[Cell]:
    """Every curve, printed as it comes."""
    for title, sizes in curves(options):
        print(f"\n{title}\n  {'N × d':>16} {'CPU s':>9} {'wall s':>9} {'gap':>9} {'certified':>10} {'MB':>8}")
        for size in sizes:
            found = cell(*size)
            print("  {:>16} {seconds:9.3f} {wall:9.3f} {gap:9.1e} {certified!s:>10} {MB:8.0f}".format(
                f"{found['N']} × {found['d']}", **found), flush=True)
            yield found
            if found["seconds"] > options.patience:
                break


Contender = Callable[[np.ndarray, np.ndarray], np.ndarray]     # X (N, d), y (N,) → w (d,)


def by_fastbias(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(fb.max_margin(X, y, "l2").w)


def by_linear_svc(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """LinearSVC as near to a hard margin as its own limits let it come."""
    from sklearn.svm import LinearSVC
    svc = LinearSVC(C=1e10, loss="hinge", dual=True, tol=1e-10, fit_intercept=False, max_iter=1_000_000, random_state=0)
    return np.asarray(svc.fit(X, y).coef_[0])


def by_svc(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """SVC on samples and their mirror images; a limit to its iterations, since it knows no other end where C is so large."""
    from sklearn.svm import SVC
    svc = SVC(kernel="linear", C=1e10, tol=1e-10, cache_size=500, max_iter=10_000_000)
    return np.asarray(svc.fit(np.vstack([X, -X]), np.concatenate([y, -y])).coef_[0])


CONTENDERS: dict[str, Contender] = {"fastbias": by_fastbias, "LinearSVC": by_linear_svc, "SVC": by_svc}


def shortfall(X: np.ndarray, y: np.ndarray, w: np.ndarray, maximum: float) -> float:
    """1 − margin/maximum of w; 1 and more where w does not separate."""
    return 1.0 - float((y * (X @ w)).min() / np.linalg.norm(w)) / maximum


def against(kind: str, N: int, d: int, rounds: int) -> Iterator[Cell]:
    """All contenders in turn on the same data, round by round: the median of their times, and how far they fall short."""
    X, y = data(kind, N, d)
    limit = fb.max_margin(X, y, "l2")
    if not limit.certified:
        raise RuntimeError(f"the ℓ2 margin of {kind} data, {N} × {d}, is not certified: there is nothing to compare with")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    short = {}
    for _ in range(rounds):
        for name, solve in CONTENDERS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")                # that they did not converge: the shortfall says it
                wall, cpu = perf_counter(), process_time()
                w = solve(X, y)
                times[name].append((process_time() - cpu, perf_counter() - wall))
            short[name] = shortfall(X, y, w, limit.margin)
    for name, taken in times.items():
        cpu, wall = (median(column) for column in zip(*taken, strict=True))
        yield {"task": name, "kind": kind, "N": N, "d": d, "seconds": cpu, "wall": wall, "gap": short[name],
               "certified": name == "fastbias", "MB": np.nan}


def peers(options: argparse.Namespace) -> Iterator[Cell]:
    """ℓ2 beside scikit-learn, printed as it comes."""
    if not options.against:
        return
    print(f"\nℓ2 beside scikit-learn, median of {options.rounds} rounds in turn\n"
          f"  {'data':>8} {'N × d':>14} {'':>10} {'CPU s':>9} {'wall s':>9} {'shortfall':>10}")
    for N, d in options.against:
        for kind in ("apart", "thin"):
            for found in against(kind, N, d, options.rounds):
                told = f"{found['gap']:10.1e}" if found["gap"] < 1 else "  does not separate"
                print("  {kind:>8} {:>14} {task:>10} {seconds:9.3f} {wall:9.3f} {}".format(f"{N} × {d}", told, **found),
                      flush=True)
                yield found


def write(cells: list[Cell], out: Path) -> None:
    """Write oracles.csv and, where README.md is there, what stands between its marks."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "oracles.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in found.items()}
                         for found in cells)
    page = out / "README.md"
    if page.exists():
        where = "; ".join(filter(None, [*(f"{key} {value}" for key, value in timing.machine().items()), busy()]))
        text = f"Measured: {where}.\n\n{markdown(read(out / 'oracles.csv'))}\n"
        page.write_text(table.between(page.read_text(encoding="utf-8"), text, "oracles"), encoding="utf-8")


def read(path: Path) -> list[Cell]:
    """The rows of an oracles.csv."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: value if key in ("task", "kind") else value == "True" if key == "certified" else
                 int(value) if key in ("N", "d") else float(value) for key, value in row.items()}
                for row in csv.DictReader(file)]


def markdown(cells: list[Cell]) -> str:
    """The two tables of README.md: seconds of each oracle at some sizes, and ℓ2 beside scikit-learn."""
    at = {(c["task"], c["kind"], c["N"], c["d"]): c for c in cells}
    shown = [size for size in SHOWN if any(key[2:] == size and key[0] in TASKS for key in at)]
    lines = [f"| oracle | data | {' | '.join(f'{N:,} × {d}' for N, d in shown)} |", "|---|---|" + "---|" * len(shown)]
    for task, kind in dict.fromkeys((c["task"], c["kind"]) for c in cells if c["task"] in TASKS):
        found = [at.get((task, kind, *size)) for size in shown]
        words = ["–" if c is None else f"{c['seconds']:.2g}" + ("" if c["certified"] else f", gap {c['gap']:.0e}")
                 for c in found]
        lines.append(f"| {task} | {kind} | {' | '.join(words)} |")
    lines += ["", f"| data | N × d | {' | '.join(f'{name}, s | shortfall' for name in CONTENDERS)} |",
              "|---|---|" + "---|---|" * len(CONTENDERS)]
    for kind, N, d in dict.fromkeys((c["kind"], c["N"], c["d"]) for c in cells if c["task"] in CONTENDERS):
        words = [f"{c['seconds']:.2g} | " + (f"{c['gap']:.0e}" if c["gap"] < 1 else "does not separate")
                 for c in (at[name, kind, N, d] for name in CONTENDERS)]
        lines.append(f"| {kind} | {N:,} × {d} | {' | '.join(words)} |")
    return "\n".join(lines)


def busy() -> str:
    """What to hold against the numbers: more than one process at work, this one included."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"the machine was busy: load {load:.1f}" if load > 1.0 else ""


def parse(argv: list[str] | None) -> argparse.Namespace:
    def names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
        def of(text: str) -> list[str]:
            if unknown := set(text.split(",")) - set(known):
                raise argparse.ArgumentTypeError(f"must be among {', '.join(known)}, got {', '.join(sorted(unknown))}")
            return text.split(",")
        return of

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",") if word]

    def sizes(text: str) -> list[tuple[int, int]]:
        pairs = [word.split("x") for word in text.split(",") if word]
        return [(int(N), int(d)) for N, d in pairs]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=names(TASKS), default=list(TASKS))
    parser.add_argument("--kinds", type=names(tuple(KINDS)), default=list(KINDS))
    parser.add_argument("--rows", type=numbers, default=[1000 * 2 ** k for k in range(8)])
    parser.add_argument("--features", type=numbers, default=[25 * 2 ** k for k in range(5)])
    parser.add_argument("--sizes", type=sizes, default=[], help="others, such as 100000x200,1000000x50")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds after which a curve ends (default: %(default)s)")
    parser.add_argument("--against", type=sizes, default=[(500, 10), (2000, 20), (8000, 40)])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where oracles.csv goes, and the tables of a README.md there")
    parser.add_argument("--once", action="store_true", help="measure in this process")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure in a process of one thread, print, write."""
    options = parse(argv)
    if not options.once:
        arguments = list(sys.argv[1:] if argv is None else argv)
        command = [sys.executable, "-m", "bench.oracles", *arguments, "--once"]
        raise SystemExit(subprocess.run(command, env=os.environ | timing.ONE_THREAD).returncode)
    before = busy()
    print("; ".join(f"{key} {value}" for key, value in timing.machine().items()))
    firsts: list[Callable[..., Any]] = [*(partial(ask, task) for task in TASKS), *(CONTENDERS.values() if options.against else ())]
    for first in firsts:                                       # what is imported by first calls
        first(*data("apart", 300, 5))
    cells = [*growth(options), *peers(options)]
    told = busy() or before
    print(f"\n{told}" if told else "")
    if options.out:
        write(cells, options.out)


if __name__ == "__main__":
    main()
