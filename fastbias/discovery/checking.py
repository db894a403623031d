"""A small exact check of what this folder proves: integers and fractions alone, no solver.

A document is a dict that JSON can hold, with the key "kind"; its numbers are fractions as strings.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from fastbias.discovery.rational import Matrix, Vector, dot, product, read

__all__ = ["KINDS", "check"]


def check(document: Mapping[str, Any]) -> bool:
    """Check a proof of this folder, exactly; True, or a ValueError that names what fails.

    Parameters
    ----------
    document : dict
        What ``.proof`` of an examination or a hunt holds.

    Raises
    ------
    ValueError
        With the line that does not hold.

    Examples
    --------
    >>> import fastbias as fb
    >>> from fastbias.discovery.checking import check
    >>> check(fb.axioms.examine(fb.methods.adagrad(0.3)).proof)
    True
    """
    kind = document.get("kind") if isinstance(document, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    try:
        KINDS[kind](document)
    # what is missing, of another kind, or 1/0 proves nothing
    except (LookupError, TypeError, ZeroDivisionError, OverflowError, AttributeError) as error:
        raise ValueError(f"the proof fails: its parts cannot be read ({type(error).__name__}: "
                         f"{error})") from error
    return True


def demand(holds: bool, line: str) -> None:
    """Refuse the document at this line where it does not hold."""
    if not holds:
        raise ValueError(f"the proof fails: {line}")


def _equal(document: Mapping[str, Any]) -> bool:
    """Whether solutions meet equations; else margins."""
    kind = document["solutions"]
    demand(kind in ("Xw = y", "Xw >= y"), f"solutions are Xw = y or Xw >= y, not {kind!r}")
    return bool(kind == "Xw = y")


def _read(document: Mapping[str, Any]) -> tuple[list[tuple[Matrix, Vector]], list[Vector]]:
    """The problems and choices; each choice must be a solution of its problem."""
    problems = [([read(row) for row in p["X"]], read(p["y"])) for p in document["problems"]]
    chosen = [read(w) for w in document["choices"]]
    demand(len(problems) == len(chosen), "there is a choice of each problem")
    equal = _equal(document)
    for k, ((X, y), w) in enumerate(zip(problems, chosen, strict=True)):
        p = product(X, w)
        good = p == y if equal else all(a >= b for a, b in zip(p, y, strict=True))
        demand(good, f"choice {k} is a solution of problem {k}")
    return problems, chosen


def _no_function(document: Mapping[str, Any]) -> None:
    """Σ μ_kj (R_j − R_k − ν_kᵀX_k(w_j − w_k)) would be > 0, and is ≤ 0 whatever R and ν are."""
    problems, chosen = _read(document)
    equal = _equal(document)
    links = [(int(k), int(j), Fraction(mu)) for k, j, mu in document["multipliers"]]
    demand(bool(links), "there are multipliers")
    demand(all(0 <= i < len(chosen) for k, j, _ in links for i in (k, j)),
           "the multipliers are of these choices")
    demand(all(mu > 0 for *_, mu in links), "the multipliers are positive")
    demand(all(chosen[k] != chosen[j] for k, j, _ in links), "the choices are unlike")
    _balance(links, chosen)
    for k, (X, y) in enumerate(problems):
        own = [(j, mu) for source, j, mu in links if source == k]
        for n, row in enumerate(X):
            total = sum((mu * (dot(row, chosen[j]) - dot(row, chosen[k])) for j, mu in own),
                        Fraction(0))
            # (where there is slack ν is 0, and nothing is asked)
            if equal:
                demand(total == 0, f"row {n} of problem {k} adds up to 0")
            elif dot(row, chosen[k]) == y[n]:
                demand(total >= 0, f"row {n} of problem {k} adds up to no less than 0")


def _balance(links: list[tuple[int, int, Fraction]], chosen: list[Vector]) -> None:
    """As much leads to each point as away from it, so that the values R cancel."""
    for w in chosen:
        out = sum((mu for k, _, mu in links if chosen[k] == w), Fraction(0))
        back = sum((mu for _, j, mu in links if chosen[j] == w), Fraction(0))
        demand(out == back, f"the multipliers balance at {[str(x) for x in w]}")


def _one_function(document: Mapping[str, Any]) -> None:
    """R_j > R_k + ν_kᵀ(X_k w_j − y_k) for all w_j ≠ w_k."""
    problems, chosen = _read(document)
    equal = _equal(document)
    values = read(document["values"])
    multipliers = [read(nu) for nu in document["multipliers"]]
    for k, ((X, y), nu) in enumerate(zip(problems, multipliers, strict=True)):
        demand(len(nu) == len(y), f"problem {k} has a multiplier a row")
        if not equal:
            own = product(X, chosen[k])
            demand(all(v >= 0 and (v == 0 or a == b) for v, a, b in zip(nu, own, y, strict=True)),
                   f"the multipliers of problem {k} are 0 or more, and 0 where there is slack")
        for j, w in enumerate(chosen):
            if w != chosen[k]:
                off = [a - b for a, b in zip(product(X, w), y, strict=True)]
                demand(values[j] > values[k] + dot(nu, off),
                       f"choice {k} is better than {j} where both were available")
            else:
                demand(values[j] == values[k], f"choices {k} and {j} are one, of one value")


Check = Callable[[Mapping[str, Any]], None]
KINDS: dict[str, Check] = {"no convex function explains these choices": _no_function,
                           "one convex function explains these choices": _one_function}


def register(kinds: Mapping[str, Check] | Sequence[tuple[str, Check]]) -> None:
    """Add checks of other kinds of proof."""
    KINDS.update(kinds)
