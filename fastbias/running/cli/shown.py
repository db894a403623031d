"""Weights by their names, and labels by what the file calls them; of many only some are printed."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastbias import checks, data
from fastbias.checks.columns import entries
from fastbias.checks.own import INTERCEPT
from fastbias.data.rows import called

__all__ = ["LINES", "labels", "names", "support", "weights"]

LINES = 12       # entries of a vector, and rows, that are printed
LONG = 6         # entries of a longer one
FELT = 1e-9      # weights λ, which add up to one, over which a row is shown: the rest is rounding


def labels(table: data.Table, classes: np.ndarray | None) -> None:
    """Print which label is +1, by the names that the file has for them."""
    for line in checks.mapping(np.array(table.classes) if classes is not None and table.classes
                               else classes):
        print(line)


def names(table: data.Table, intercept: bool, shape: tuple[int, ...],
          classes: np.ndarray | None) -> list[str]:
    """What each entry of w is called: the feature, after its class where there are classes."""
    known = (*table.names, INTERCEPT) if intercept else table.names
    # (samples that are matrices have a name for each entry)
    return entries(known, shape, table.classes or classes) or list(known)


def weights(known: Sequence[str], w: np.ndarray, goal: np.ndarray | None = None,
            what: str = "predicted") -> None:
    """Print each entry of w by its name, beside what was predicted, or is ``what`` else; of many
    the largest.
    """
    w = w.ravel()
    goal = np.full(w.size, np.nan) if goal is None else goal.ravel()
    listed = np.arange(w.size)
    if w.size > LINES:
        listed = np.sort(np.argsort(-np.fmax(np.abs(w), np.abs(goal)), kind="stable")[:LONG])
    for i in listed.tolist():
        told = "" if np.isnan(goal[i]) else f"   {what} {goal[i]:>18.10g}"
        print(f"  {known[i]:<20} {w[i]:>18.10g}{told}")
    if w.size > LINES:
        print(f"  (the largest {LONG} of {w.size}; --out keeps all)")


def support(table: data.Table, dual: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Print the rows that decide, how much each counts, and its multiplier α = λ/γ² in ℓ2."""
    y, classes = checks.labels("y", table.y)
    known = table.classes or classes.tolist()
    print(f"rows, from 0, {'against other classes, ' * (len(known) > 2)}and their weight λ:")
    heaviest = np.argsort(-dual)[:LINES]
    for n in heaviest[dual[heaviest] > FELT]:
        told = "" if alpha is None else f"   at margin 1 {alpha[n]:>18.10g}"
        print(f"  {called(n, y.astype(int), known):<20} {dual[n]:>18.10g}{told}")
