"""What `fb.separation` prints: a table for people who fit models, and what to do next."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks.shown import MOST, WIDE, Report, Table, clipped

if TYPE_CHECKING:
    from fastbias.solvers.separation import Separation

__all__ = ["KINDS", "report"]

KINDS = {"complete": "complete separation", "quasi": "quasi-complete separation",
         "overlap": "overlap: no separation"}
ROWS = 12             # that are listed
LEAST = 1e-16         # standard errors that an estimate may be off at least
Row = tuple[str, ...]


def report(found: Separation) -> Report:
    """The kind in words, a table of the coefficients, and what to do next."""
    head, foot = _head(found), _foot(found)
    rows = _cut(_rows(found), MOST - len(head) - len(foot) - 1)
    return [*head, Table(rows, _headings(found)), *foot]


def _head(found: Separation) -> list[str]:
    """The kind in words, and the likelihood."""
    strict = found.strict
    what = "samples" if strict.ndim == 1 else "pairs of a sample's class with another"
    total = len(strict) * (strict.shape[1] - 1 if strict.ndim == 2 else 1) - found.left_out
    told = {"complete": f"all {total} {what} are told apart",
            "quasi": f"{int(strict.sum())} of {total} {what} are told apart, the others overlap",
            "overlap": f"none of {total} {what} is told apart"}[found.kind]
    value, reached = found.log_likelihood, "maximum" if found.kind == "overlap" else "supremum"
    # (−0.0 is printed as 0)
    return [f"{KINDS[found.kind]}: {told}", *_apart(found),
            f"log-likelihood: {reached} {value + 0.0:.10g}, deviance {-2 * value + 0.0:.10g}"
            + ("" if found.kind == "overlap" else ", which no coefficients reach")]


def _apart(found: Separation) -> list[str]:
    """Which samples are told apart (of classes from all others), where not all or none are."""
    strict = found.strict
    if strict.ndim > 1:
        strict = (strict.sum(axis=1) == strict.shape[1] - 1)
    rows = np.flatnonzero(strict).tolist()
    if found.kind != "quasi" or not rows:
        return []
    more = f" and {len(rows) - ROWS} more" if len(rows) > ROWS else ""
    what = "rows told apart" if found.strict.ndim == 1 else "rows told apart from all other classes"
    return [f"{what}, from 0: {', '.join(map(str, rows[:ROWS]))}{more}"]


def _headings(found: Separation) -> Row:
    pair = ("classes",) if found.pairs else ()
    return (*pair, "coefficient", "estimate", "std. error")


def _rows(found: Separation) -> list[Row]:
    """One row for each coefficient, with classes for each pair of them."""
    if not found.pairs:
        return [_row(name, found.coefficients, found.finite, found.standard_errors, found.error)
                for name in found.coefficients]
    return [(clipped(f"{_label(b)} / {_label(a)}", WIDE), *_row(name, kinds, found.finite[a, b],
                                         found.standard_errors[a, b], found.error))
            for (a, b), kinds in found.pairs.items() for name in kinds]


def _label(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _row(name: str, kinds: dict[str, str], finite: dict[str, float],
         errors: dict[str, float], off: float) -> Row:
    if kinds[name] != "finite":
        return clipped(name, WIDE), kinds[name], ""
    # (of what is under its own error no digit is known)
    value = 0.0 if abs(finite[name]) <= max(off, LEAST) * errors[name] else finite[name]
    return clipped(name, WIDE), f"{value:.6g}", f"{errors[name]:.3g}"


def _cut(rows: list[Row], most: int) -> list[Row]:
    """As many rows as fit, infinite ones first to stay, in their order."""
    if len(rows) <= most:
        return rows
    wanted = sorted(range(len(rows)), key=lambda i: rows[i][-1] != "")[:most - 1]
    left = f"… {len(rows) - most + 1} more"
    return [*(rows[i] for i in sorted(wanted)), (left, *[""] * (len(rows[0]) - 1))]


def _foot(found: Separation) -> list[str]:
    """What to do next, and what was proved."""
    kinds = {kind for known in (found.pairs or {0: found.coefficients}).values()
             for kind in known.values()}
    return [*_next(found, kinds), f"certified: {_proof(found)}" if found.certified
            else f"NOT certified: {found.reason}", *checks.mapping(found.classes)]


def _next(found: Separation, kinds: set[str]) -> list[str]:
    where = "undetermined: columns are collinear, drop some of them or penalise"
    if found.kind == "overlap":
        return ["next: the maximum-likelihood fit exists"
                + (" and is the only one" if kinds == {"finite"} else f"; {where}")]
    lines = ["next: penalise (Firth, ridge), use a prior, exact inference, or drop what separates"]
    if found.kind == "complete":
        lines.append("      fb.max_margin says where gradient descent goes")
    elif "finite" in kinds:
        lines.append("      finite ones are those of the fit without the samples that are told "
                     "apart")
    if "undetermined" in kinds:
        lines.append("      undetermined: they go to +inf or -inf, as the others do, or are "
                     "collinear")
    return lines


def _proof(found: Separation) -> str:
    parts = {"complete": "a direction with all margins over 0",
             "quasi": "a direction, and weights with which the others balance",
             "overlap": "weights > 0 with which all samples balance"}
    values: Any = [v for known in (found.finite.values() if found.pairs else [found.finite])
                   for v in known.values()]
    off = f"; estimates to {max(found.error, LEAST):.0e} std. errors"
    return parts[found.kind] + (off if np.isfinite(values).any() else "")
