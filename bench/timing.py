"""How time is taken: on one core, in rounds of a given length in which all take turns, of which the least counts."""
from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from bench import reference

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
ONE_THREAD["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def pin() -> int | None:
    """Keep this process on one core, the last that it may use, where the system knows how; which one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def seconds(f: Callable[[int], Any], steps: int) -> float:
    """How long f(steps) takes, in seconds of this process: those in which the core did something else are not counted."""
    begin = process_time()
    f(steps)
    return process_time() - begin


def calibrate(f: Callable[[int], Any], wanted: float) -> int:
    """How many steps take so many seconds, about; f is called before the clock starts, which compiles it."""
    steps = 8
    f(steps)
    while (took := seconds(f, steps)) < wanted / 3:
        steps = int(steps * min(16.0, max(2.0, wanted / 2 / max(took, 1e-9))))
    return max(8, int(steps * wanted / took))


def race(fs: Mapping[str, Callable[[int], Any]], wanted: float = 0.03, rounds: int = 5) -> dict[str, float]:
    """Nanoseconds a step of each f(steps): the least of some rounds, in which all take turns."""
    steps = {name: calibrate(f, wanted) for name, f in fs.items()}
    best = dict.fromkeys(fs, np.inf)
    for _ in range(rounds):
        for name, f in fs.items():
            best[name] = min(best[name], seconds(f, steps[name]) / steps[name] * 1e9)
    return best


def machine() -> dict[str, str]:
    """What the numbers depend on: CPU, cores, system, compilers, libraries, date. Neither names nor paths."""
    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"
    found = {"date": date.today().isoformat(), "CPU": _cpu(), "cores": str(os.cpu_count()),
             "system": f"{platform.system()} {platform.machine()}", "C compiler": _compiler(),
             "Python": platform.python_version()}
    return found | {name: of(name.lower()) for name in ("numba", "llvmlite", "NumPy", "SciPy", "JAX", "scikit-learn")}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    named = {key.strip(): value.strip() for key, value in named.items()}
    words = [named.get("model name") or platform.processor() or "unknown"]
    if "cpu family" in named:
        words.append(f"family {named['cpu family']} model {named['model']}")
    flags = named.get("flags", "").split()
    words += [next((wide for wide, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), "")]
    return ", ".join(filter(None, words))


def _compiler() -> str:
    cc = reference.compiler()
    if cc is None:
        return "none"
    shown = subprocess.run([cc, "--version"], capture_output=True, text=True).stdout
    name = "clang" if "clang" in shown else "GCC" if "Free Software Foundation" in shown else "cc"
    number = subprocess.run([cc, "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return f"{name} {number}".strip()
