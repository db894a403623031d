"""Measure seven methods at seven sizes, by fastbias, C, JAX and NumPy, and write table.csv and the table of README.md.

    python -m bench.table [--methods A,B] [--sizes 20x50,100x1000] [--contenders fastbias,C] [--out DIR]

Each of three processes, one after the other on one core, lets the contenders take turns; of a process the least of its
rounds counts, of the processes the median. Before it is timed a contender must reach the w of NumPy after 64 steps. The
rows "stream" hold how long C takes to read an array of that size once: the roof. JAX is used where it is installed.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import peers, reference, timing
from bench.peers import C_GRAM, FASTBIAS, JAX, METHODS, NUMPY, ROWS, SIZES, C, Problem

HERE = Path(__file__).resolve().parent
FIELDS = "method", "N", "d", "contender", "ns", "spread"
STREAM, MEMORY = "stream", (4000, 4000)                    # 128 MB, which no cache holds
CHECKED, RTOL = 64, 1e-8                                   # steps after which all must agree
Row = dict[str, Any]


def agree(method: peers.Method, problem: Problem, names: tuple[str, ...]) -> None:
    """Raise where a contender's w after 64 steps is not that of NumPy."""
    wanted = peers.by_numpy(method, problem, method.eta(problem))(CHECKED)
    for name, make in peers.contenders(method, problem, names).items():
        w = make(method.eta(problem))(CHECKED)
        if not np.allclose(w, wanted, rtol=RTOL, atol=RTOL * abs(wanted).max()):
            raise RuntimeError(f"{name} is off by {abs(w - wanted).max():.1e} after {CHECKED} steps of {method.name} at "
                               f"{problem.name}")


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one process, as they come."""
    timing.pin()
    for size in SIZES:
        problem = Problem(*size)
        for method in METHODS:
            if problem.name in options.sizes and method.name in options.methods:
                agree(method, problem, options.contenders)
                makers = peers.contenders(method, problem, options.contenders)
                running = {name: make(method.eta(problem) * method.rest) for name, make in makers.items()}
                for name, ns in timing.race(running, options.seconds, options.rounds).items():
                    yield {"method": method.name, "N": size[0], "d": size[1], "contender": name, "ns": ns}
    if C in options.contenders and reference.library() is not None:
        for N, d in (*SIZES, MEMORY):
            x = np.ones(-(-N * d // 64) * 64)               # whole blocks of the loop that reads
            ns = timing.race({C: partial(reference.read, x)}, options.seconds, options.rounds)[C]
            yield {"method": STREAM, "N": N, "d": d, "contender": C, "ns": ns * N * d / x.size}


def process(arguments: list[str], library: str) -> list[Row]:
    """The rows of a process of its own."""
    given = {"FASTBIAS_REFERENCE": library} if library else {}
    command = [sys.executable, "-m", "bench.table", *arguments, "--once"]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | timing.ONE_THREAD | given) as running:
        for line in running.stdout or ():
            rows.append(json.loads(line))
            print("  {method:24} {N:>5} × {d:<5} {contender:20} {ns:12.4g} ns".format(**rows[-1]), flush=True)
    if running.returncode:
        raise SystemExit(f"a process of the table ended with {running.returncode}")
    return rows


def combine(runs: Iterable[list[Row]]) -> list[Row]:
    """The median over processes of each row, and (largest − least)/median."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for rows in runs:
        for row in rows:
            found.setdefault((row["method"], row["N"], row["d"], row["contender"]), []).append(row["ns"])
    return [dict(zip(FIELDS, (*key, f"{median(ns):.4g}", f"{(max(ns) - min(ns)) / median(ns):.2f}"), strict=True))
            for key, ns in sorted(found.items(), key=lambda item: _order(*item[0]))]


def _order(method: str, N: int, d: int, contender: str) -> tuple[int, ...]:
    names = [m.name for m in METHODS] + [STREAM]
    return names.index(method), [*SIZES, MEMORY].index((N, d)), list(peers.MAKERS).index(contender)


def read(path: Path) -> dict[tuple[str, int, int, str], float]:
    """The nanoseconds of a table.csv: (method, N, d, contender) → ns."""
    with open(path, newline="", encoding="utf-8") as file:
        return {(r["method"], int(r["N"]), int(r["d"]), r["contender"]): float(r["ns"]) for r in csv.DictReader(file)}


def markdown(ns: dict[tuple[str, int, int, str], float]) -> str:
    """The table of README.md: ns a step of fastbias, and how many times as long or short the others are."""
    others = [name for name in (ROWS, C, C_GRAM, JAX, NUMPY) if any(key[3] == name for key in ns)]
    lines = [f"| method | N × d | fastbias, ns a step | fastbias / C | {' | '.join(f'{name}, ns' for name in others)} |",
             "|---|---|---|---|" + "---|" * len(others)]
    for method in METHODS:
        for N, d in SIZES:
            at = {name: ns.get((method.name, N, d, name)) for name in peers.MAKERS}
            if not any(at.values()):
                continue
            ours, c = at[FASTBIAS], at[C]
            ratio = f"{ours / c:.2f}" if ours and c else "–"
            cells = [_short(ours), ratio, *(_short(at[name]) for name in others)]
            lines.append(f"| {method.title} | {N} × {d} | {' | '.join(cells)} |")
    return "\n".join(lines)


def roof(ns: dict[tuple[str, int, int, str], float]) -> str:
    """One line: how fast one core reads X, at the larger sizes."""
    rates = [f"{8 * N * d / ns[STREAM, N, d, C]:.0f} GB/s at {N} × {d}" for N, d in (*SIZES[4:], MEMORY)
             if (STREAM, N, d, C) in ns]
    return f"One core reads {', '.join(rates)}." if rates else ""


def _short(ns: float | None) -> str:
    return "–" if ns is None else f"{ns:.3g}" if ns < 100 else f"{float(f'{ns:.3g}'):,.0f}"


def write(rows: list[Row], out: Path) -> None:
    """Write table.csv and, where README.md is there, what stands between its marks."""
    with open(out / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    page = out / "README.md"
    if page.exists():
        ns = read(out / "table.csv")
        where = "; ".join(f"{key} {value}" for key, value in timing.machine().items())
        text = f"Measured: {where}.\n\n{roof(ns)}\n\n{markdown(ns)}\n"
        page.write_text(between(page.read_text(encoding="utf-8"), text), encoding="utf-8")


def between(page: str, text: str, mark: str = "table") -> str:
    """The page with what stands between two marks replaced."""
    new, count = re.subn(rf"(<!-- {mark} -->\n).*(<!-- end of {mark} -->)", lambda match: match[1] + text + match[2], page,
                         flags=re.S)
    if count != 1:
        raise ValueError(f"the page must have the marks <!-- {mark} --> … <!-- end of {mark} --> once, got {count}")
    return new


def parse(argv: list[str] | None) -> argparse.Namespace:
    def names(text: str) -> tuple[str, ...]:
        return tuple(text.split(","))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--methods", type=names, default=tuple(m.name for m in METHODS))
    parser.add_argument("--sizes", type=names, default=tuple(f"{N}x{d}" for N, d in SIZES))
    parser.add_argument("--contenders", type=names, default=tuple(peers.MAKERS))
    parser.add_argument("--seconds", type=float, default=0.03, help="of a contender in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="in a process (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where table.csv goes (default: bench)")
    parser.add_argument("--once", action="store_true", help="measure in this process and print rows as JSON")
    options = parser.parse_args(argv)
    for what, given, known in (("method", options.methods, [m.name for m in METHODS]),
                               ("size", options.sizes, [f"{N}x{d}" for N, d in SIZES]),
                               ("contender", options.contenders, list(peers.MAKERS))):
        for name in given:
            if name not in known:
                parser.error(f"--{what}s must be among {', '.join(known)}, got {name}")
    return options


def main(argv: list[str] | None = None) -> None:
    """Measure in processes of their own, combine, write."""
    options = parse(argv)
    if options.once:
        for row in measure(options):
            print(json.dumps(row), flush=True)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    arguments = list(sys.argv[1:] if argv is None else argv)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "reference.so"
        found = str(library) if {C, C_GRAM} & set(options.contenders) and reference.build(library) else ""
        rows = combine([process(arguments, found) for _ in range(options.processes)])
    write(rows, options.out)
    print(options.out / "table.csv")


if __name__ == "__main__":
    main()
