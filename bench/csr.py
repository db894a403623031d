"""Measure a step on sparse rows beside SciPy's: python -m bench.csr [--N 20000] [--d 50000] [--row 100].

Both products and the exponentials are SciPy's whole step (``X @ w`` and ``Xᵀ @ q``; what moves w is left out). The two take
turns for some rounds, pinned to one core, in seconds of the process; of each the least round counts. Before it is timed
fastbias must reach SciPy's w after 16 steps.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.sparse as sp

import fastbias as fb
from bench import timing

CHECKED, ETA = 16, 1e-4
LOSSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {    # −ℓ' of a margin
    "exponential": lambda m: np.exp(-m), "logistic": lambda m: 1.0 / (1.0 + np.exp(m))}


def problem(N: int, d: int, row: int, rng: np.random.Generator) -> tuple[sp.csr_matrix, np.ndarray]:
    """Rows of so many Gaussian entries each, in columns that are drawn, and labels."""
    columns = np.sort(np.array([rng.choice(d, row, replace=False) for _ in range(N)]), axis=1)
    X = sp.csr_matrix((rng.normal(size=N * row), columns.ravel(), np.arange(0, N * row + 1, row)), shape=(N, d))
    return X, np.where(X @ rng.normal(size=d) >= 0, 1.0, -1.0)


def scipy_steps(X: sp.csr_matrix, y: np.ndarray, loss: str, w: np.ndarray, moves: bool, steps: int) -> None:
    """Both products and the loss's exponentials, so often; with ``moves`` w goes along."""
    transposed, slope = X.T, LOSSES[loss]
    for _ in range(steps):
        g = transposed @ (y * slope(y * (X @ w)))
        if moves:
            w += ETA * g


def measure(N: int, d: int, row: int, seconds: float, rounds: int) -> None:
    """Print nanoseconds an entry and step."""
    timing.pin()
    X, y = problem(N, d, row, np.random.default_rng(0))
    for loss in LOSSES:
        plan, w = fb.Plan(X, y, loss=loss, method=fb.methods.gradient_descent(ETA)), np.zeros(d)
        scipy_steps(X, y, loss, w, True, CHECKED)
        gap = float(abs(plan.run(CHECKED, record=2).w[-1] - w).max())
        if not gap <= 1e-10 * abs(w).max():
            raise SystemExit(f"{loss}: fastbias and SciPy are {gap:.1e} apart after {CHECKED} steps")
        running = {"fastbias": lambda steps, plan=plan: plan.run(steps, record=2),
                   "SciPy": partial(scipy_steps, X, y, loss, np.zeros(d), False)}
        ns = {name: step / X.nnz for name, step in timing.race(running, seconds, rounds).items()}
        told = ", ".join(f"{name} {value:.2f}" for name, value in ns.items())
        print(f"{loss:12} {N} × {d}, {row} a row: {told} ns an entry and step, ratio {ns['fastbias'] / ns['SciPy']:.2f}")


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in (("N", 20_000), ("d", 50_000), ("row", 100), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=0.15, help="of a contender in a round (default: %(default)s)")
    measure(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
