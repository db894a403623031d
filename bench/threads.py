"""Measure a step by one, two and all threads, beside NumPy and JAX with all of theirs: python -m bench.threads [--out bench].

Gradient descent on the exponential loss, over the rows of X. Each contender has a process of its own, three times in turn,
since threads of libraries spin for a while after their work; of a process the least of some rounds counts, by the clock, of
the processes the median. Before it is timed a contender must reach the w of NumPy's step, done by one thread of the first
process, after 16 steps; and all numbers of threads of fastbias must have the same bits.
"""
from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from bench import peers, timing

SIZES = (1000, 100), (1000, 1000), (4000, 4000), (100_000, 200)
CHECKED, RTOL, PROCESSES = 16, 1e-9, 3
FIELDS = "N", "d", "contender", "us"
METHOD = peers.METHODS[0]


@dataclass(frozen=True)
class Problem(peers.Problem):
    """As there, with a step size that needs no singular values."""

    @property
    def eta(self) -> float:
        """Under 1/σ_max(X)², nearly always."""
        return float(1 / (1 + np.sqrt(self.N / self.d)) ** 2)


def contenders() -> list[str]:
    """fastbias by so many threads, then the others that are here."""
    counts = sorted({1, 2, os.cpu_count() or 1})
    return [f"fastbias, {n} thread{'s' * (n > 1)}" for n in counts] + [peers.NUMPY] + [peers.JAX] * peers._has_jax()


def advance(name: str, problem: Problem) -> peers.Advance:
    """A contender at its start."""
    if name.startswith(peers.FASTBIAS):
        threads = int(name.split()[1])
        return peers.by_fastbias(METHOD, problem, problem.eta, gram=False, threads=threads)
    return peers.MAKERS[name](METHOD, problem, problem.eta)


def least(f: Callable[[int], Any], wanted: float, rounds: int) -> float:
    """Microseconds a step by the clock, of the round that took least."""
    f(2)
    steps, took = 1, 0.0
    while took < wanted / 4:
        steps *= 2
        begin = perf_counter()
        f(steps)
        took = perf_counter() - begin
    steps, best = max(1, int(steps * wanted / took)), np.inf
    for _ in range(rounds):
        begin = perf_counter()
        f(steps)
        best = min(best, (perf_counter() - begin) / steps)
    return best * 1e6


def once(options: argparse.Namespace) -> None:
    """What a process of one contender says: a row each size."""
    for size in options.sizes:
        problem = Problem(*map(int, size.split("x")))
        wanted = peers.by_numpy(METHOD, problem, problem.eta)(CHECKED)
        w = advance(options.once, problem)(CHECKED)
        if not np.allclose(w, wanted, rtol=RTOL, atol=RTOL * abs(wanted).max()):
            raise SystemExit(f"{options.once} is off by {abs(w - wanted).max():.1e} after {CHECKED} steps at {size}")
        us = least(advance(options.once, problem), options.seconds, options.rounds)
        row = {"N": problem.N, "d": problem.d, "contender": options.once, "us": us, "bits": hashlib.blake2b(w).hexdigest()}
        print(json.dumps(row), flush=True)


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of all processes, one after the other."""
    given = ["--seconds", str(options.seconds), "--rounds", str(options.rounds), "--sizes", *options.sizes]
    for _ in range(options.processes):
        for name in contenders():
            command = [sys.executable, "-m", "bench.threads", *given, "--once", name]
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            yield from map(json.loads, said.splitlines())


def combine(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The median of each; SystemExit where threads have other bits."""
    us: dict[tuple[int, int, str], list[float]] = {}
    bits: dict[tuple[int, int], set[str]] = {}
    for row in found:
        us.setdefault((row["N"], row["d"], row["contender"]), []).append(row["us"])
        if row["contender"].startswith(peers.FASTBIAS):
            bits.setdefault((row["N"], row["d"]), set()).add(row["bits"])
    if any(len(some) > 1 for some in bits.values()):
        raise SystemExit("w of fastbias depends on the number of threads")
    return [dict(zip(FIELDS, (*key, f"{median(some):.4g}"), strict=True)) for key, some in us.items()]


def table(found: list[dict[str, Any]]) -> str:
    """Microseconds a step, a line each size, and how many times as fast all threads are as one."""
    names = list(dict.fromkeys(row["contender"] for row in found))
    lines = [f"| N × d | {' | '.join(f'{name}, µs' for name in names)} | one / most threads |", "|---" * (len(names) + 2) + "|"]
    for N, d in dict.fromkeys((row["N"], row["d"]) for row in found):
        at = {row["contender"]: float(row["us"]) for row in found if (row["N"], row["d"]) == (N, d)}
        ours = [us for name, us in at.items() if name.startswith(peers.FASTBIAS)]
        lines.append(f"| {N:,} × {d:,} | {' | '.join(f'{at[name]:,.4g}' for name in names)} | {ours[0] / ours[-1]:.2f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=[f"{N}x{d}" for N, d in SIZES])
    parser.add_argument("--seconds", type=float, default=0.3, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processes", type=int, default=PROCESSES, help="of each contender (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the folder of threads.csv")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.once:
        once(options)
        return
    found = combine(list(rows(options)))
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print("; ".join(f"{key} {value}" for key, value in timing.machine().items()) + load + "\n\n" + table(found))
    if options.out:
        with open(options.out / "threads.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
