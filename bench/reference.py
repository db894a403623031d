"""The C reference (reference.c), compiled by the system's compiler when it is first asked for, and called by ctypes."""
from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("reference.c")
COMPILERS = "cc", "gcc", "clang"
FLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
NATIVE = ["-march=native"], ["-mcpu=native"], []           # the first that the compiler knows
LOSSES = "exponential", "logistic", "squared"
LANES = 8                                                  # runs of a batch

DOUBLE, LONG, POINTER = ctypes.c_double, ctypes.c_long, ctypes.c_void_p
RUN = None, (POINTER, DOUBLE, LONG)
SIGNATURES = {
    "reference_new": (POINTER, (LONG, LONG, POINTER, POINTER, POINTER, ctypes.c_int)),
    "reference_read": (None, (POINTER, POINTER)),
    "reference_free": (None, (POINTER,)),
    "gradient_exponential": RUN, "gradient_logistic": RUN, "gradient_squared": RUN, "coordinate_exponential": RUN,
    "steepest_exponential": RUN, "adagrad_exponential": RUN, "mirror_squared": RUN, "gram_exponential": RUN,
    "batch_exponential": (None, (POINTER, POINTER, POINTER, LONG)),
    "relu_exponential": (None, (POINTER, POINTER, POINTER, LONG, LONG, LONG, DOUBLE, LONG)),
    "stream": (DOUBLE, (POINTER, LONG, LONG)),
}


def compiler() -> str | None:
    """The C compiler: ``$CC``, or the first of cc, gcc, clang that is there."""
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CC"), *COMPILERS)))), None)


def build(path: Path) -> bool:
    """Compile reference.c to a library at path; False where no compiler is there, or none that takes it (GCC < 12)."""
    cc = compiler()
    return cc is not None and any(
        subprocess.run([cc, *FLAGS, *native, str(SOURCE), "-o", str(path), "-lm"], capture_output=True).returncode == 0
        for native in NATIVE)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, compiled once a process (or found at ``$FASTBIAS_REFERENCE``); None where it cannot be had."""
    given = os.environ.get("FASTBIAS_REFERENCE")
    with tempfile.TemporaryDirectory() as folder:          # a loaded library needs its file no longer
        path = Path(given or Path(folder) / "reference.so")
        if not given and not build(path):
            return None
        lib = ctypes.CDLL(str(path))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def address(a: np.ndarray) -> int:
    return int(a.ctypes.data)


class Run:
    """A run of one of the C loops, which can go on: ``Run("gradient_exponential", X, y, eta).run(steps)``.

    Parameters
    ----------
    name : str
        Of a loop in reference.c.
    X : (N, d) array
    y : (N,) array
        Labels ±1, or targets for the squared loss.
    eta : float
        The step size, L being the sum over the samples.
    start : (d,) array, optional
        w(0), default 0.
    """

    def __init__(self, name: str, X: np.ndarray, y: np.ndarray, eta: float, start: np.ndarray | None = None) -> None:
        lib = library()
        if lib is None:
            raise OSError("no C compiler that takes reference.c")
        X, y = (np.ascontiguousarray(a, dtype=float) for a in (X, y))
        start = np.zeros(X.shape[1]) if start is None else np.ascontiguousarray(start, dtype=float)
        self.lib, self.loop, self.eta, self.d = lib, getattr(lib, name), eta, X.shape[1]
        loss = LOSSES.index(name.rpartition("_")[2])
        self.problem = lib.reference_new(*X.shape, address(X), address(y), address(start), loss)
        if not self.problem:
            raise MemoryError(f"no room for {X.shape}")

    def run(self, steps: int) -> None:
        """Do further steps."""
        self.loop(self.problem, self.eta, steps)

    @property
    def w(self) -> np.ndarray:
        """Where the run stands, (d,)."""
        w = np.empty(self.d)
        self.lib.reference_read(self.problem, address(w))
        return w

    def __del__(self) -> None:
        if getattr(self, "problem", None):
            self.lib.reference_free(self.problem)


class Batch(Run):
    """Eight runs of gradient descent on the exponential loss from 0, one step size each; N, d ≤ 4."""

    def __init__(self, X: np.ndarray, y: np.ndarray, etas: np.ndarray) -> None:
        super().__init__("batch_exponential", X, y, 0.0)
        if max(np.shape(X)) > 4 or np.shape(etas) != (LANES,):
            raise ValueError(f"X must be at most (4, 4) and etas ({LANES},), got {np.shape(X)} and {np.shape(etas)}")
        self.etas, self.all = np.ascontiguousarray(etas, dtype=float), np.zeros((LANES, self.d))

    def run(self, steps: int) -> None:
        """Do further steps in each of the eight."""
        self.loop(self.problem, address(self.etas), address(self.all), steps)

    @property
    def w(self) -> np.ndarray:
        """Where the runs stand, (8, d)."""
        return self.all.copy()


class Rectified:
    """Gradient descent on the exponential loss of a network of rectified units at X (N, d), N ≤ 64, d ≤ 8, from u."""

    def __init__(self, X: np.ndarray, y: np.ndarray, eta: float, start: np.ndarray) -> None:
        lib = library()
        if lib is None:
            raise OSError("no C compiler that takes reference.c")
        self.loop, self.eta = lib.relu_exponential, eta
        self.X, self.y, self.u = (np.array(a, dtype=float, order="C") for a in (X, y, start))
        if self.X.shape[0] > 64 or self.X.shape[1] > 8:
            raise ValueError(f"X must be at most (64, 8), got {self.X.shape}")

    def run(self, steps: int) -> None:
        """Do further steps."""
        N, d = self.X.shape
        self.loop(address(self.X), address(self.y), address(self.u), N, d, self.u.size // (d + 2), self.eta, steps)


def read(a: np.ndarray, times: int) -> float:
    """The sum of a contiguous array, read a number of times: what a pass over X costs at the least."""
    lib = library()
    if lib is None:
        raise OSError("no C compiler that takes reference.c")
    return float(lib.stream(address(a), a.size, times))
