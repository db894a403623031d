"""Proof documents of limits and of separability: floats say what holds, equations are solved over
the rationals, or in a hundred digits, and the checker has the last word: what it refuses is not
handed out.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.data.rows import Rows
from fastbias.pieces import potentials
from fastbias.pieces.norms import Norm
from fastbias.proofs import matrices, networks, smooth
from fastbias.proofs.checker import check
from fastbias.proofs.documents import floats, sealed, text, texts
from fastbias.proofs.polytopes import Polytope
from fastbias.proofs.squares import Square
from fastbias.proofs.surrounds import balanced, surrounding
from fastbias.proofs.wholes import Pair, Whole, binary, together
from fastbias.solvers.limit import Asked, Limit
from fastbias.solvers.relu import Widest
from fastbias.solvers.separability import Separability
from fastbias.solvers.separation import Separation

__all__ = ["document"]

MOST = 300_000        # numbers of rows that are looked at: some seconds
WIDEST = 100          # and columns with a matrix D, whose minors the checker takes: a second
# a limit and its proof agree to this, relative to their value, and w to that where it is one alone
VALUE, NEAR = Fraction(1, 10**9), 1e-7
NAMES = {"cross-polytope": "l1", "cube": "linf"}


class _Norm(NamedTuple):
    """What the checker calls a norm or potential."""

    name: str
    square: bool = False          # ‖w‖² = wᵀDw
    D: np.ndarray | None = None   # None for ones
    link: smooth.Link | None = None
    shape: tuple[int, ...] = ()   # of matrices


def document(found: Limit | Separability | Separation | Widest) -> dict[str, Any]:
    """The document; LookupError where there is none, and why."""
    if isinstance(found, Widest):
        return networks.document(found)
    if isinstance(found, Limit):
        return _of_limit(found)
    return _of_separation(found) if isinstance(found, Separation) else _of_separability(found)


def _of_limit(limit: Limit) -> dict[str, Any]:
    """The same."""
    if isinstance(limit.asked, Widest):
        return networks.document(replace(limit.asked, margin=limit.margin))
    if not isinstance(limit.asked, Asked):
        raise LookupError("limit must be a maximum margin, a minimum norm or a projection, of one "
                          f"output, to have a proof, got {limit.theorem!r}")
    asked, norm = limit.asked, _norm(limit.asked)
    Z = _rows(asked.rows)
    free = asked.rows.free
    goal = np.ones(len(Z)) if asked.goal is None else asked.goal
    start = np.zeros(Z.shape[1] - free) if asked.start is None else asked.start.ravel()
    whole = Whole(Z, goal, free)
    flat = np.append(limit.w.ravel(), np.ravel(limit.intercept)[:free])
    nu = limit.dual.ravel()
    if flat.size != Z.shape[1] or nu.size != len(Z) or not np.isfinite([*flat, *nu]).all():
        raise LookupError("limit must be of one output, with finite multipliers, to have an exact "
                          f"proof, got w {limit.w.shape} and dual {limit.dual.shape}")
    matrix: Any = None if norm.D is None else floats(norm.D)
    if norm.link is not None and norm.link.parameter is not None:
        matrix = text(norm.link.parameter)
    lines: dict[str, Any] = {"rows": floats(Z), "norm": norm.name, "matrix": matrix}
    if asked.goal is not None:
        lines["goal"] = floats(goal)
    if asked.start is not None:
        lines["start"] = floats(start)
    if norm.shape:
        return _of_matrices(limit, norm, whole, (flat, nu), lines)
    for w, weights in _found(norm, asked, whole, start, (flat, nu, limit.margin)):
        total = sum(weights)
        value = _value(norm, whole, (w, weights), start, asked.goal)
        # w has a least margin of one, so its length is that of 1/γ
        if asked.goal is None:
            if not value or not total:
                continue
            value, weights = 1 / value, [v / total for v in weights]
        if _agreeing(limit, w[:whole.bound], value, norm):
            lines.update(primal=texts(w), dual=texts(weights), value=text(value))
            document = _checked(sealed(asked.claim, free, **lines))
            if document is not None:
                return document
    raise LookupError("no proof was found of this limit: its equations have no exact solution in "
                      "these numbers, or it is off by more than rounding")


def _of_matrices(limit: Limit, norm: _Norm, whole: Whole, near: tuple[np.ndarray, np.ndarray],
                 lines: dict[str, Any]) -> dict[str, Any]:
    """The same of norms of matrices, with the factors that bound a sum of singular values."""
    asked, (w, nu) = limit.asked, near
    assert isinstance(asked, Asked)
    equal, told = asked.goal is not None, limit.margin
    goal = np.ones(nu.size) if asked.goal is None else asked.goal
    if equal:
        told = float(asked.norm(w[:whole.bound]))
    face = matrices.Face(np.asarray(asked.rows.dense(), float), goal, whole, norm.name, norm.shape)
    # (w of a margin has a least margin of one)
    size = told if equal else 1 / told
    for found in face.solutions(w if equal else w * size, nu, size, equal):
        lines.update(primal=texts(found.w), dual=texts(found.weights), value=text(found.value),
                     matrix=[texts(row) for row in found.factors])
        document = _checked(sealed(asked.claim, whole.free, **lines))
        if document is not None and abs(Fraction(told) / found.value - 1) <= 2 * VALUE:
            return document
    raise LookupError(f"no proof was found of this limit in the {norm.name} norm: no face of fixed "
                      "rank was found in a hundred digits, or it is off by more than rounding")


def _norm(asked: Asked) -> _Norm:
    """What is known of a norm or potential; LookupError where no exact proof is."""
    # (by what they declare, which laws hold them to, not by their names)
    ball, matrix = getattr(asked.norm, "ball", None), asked.norm.matrix
    if ball is not None:
        return _Norm(NAMES[ball])
    if matrix is np.eye:
        return _Norm("l2", True, None)
    name = getattr(asked.norm, "recipe", ("", {}))[0]
    if isinstance(asked.norm, Norm) and asked.norm.shape and name in ("spectral", "nuclear"):
        return _Norm("psd" if asked.cone else name, shape=asked.norm.shape)
    if matrix is None:
        link = _link(asked)
        return _Norm(link.name, link=link)
    size = asked.rows.bound
    if size > WIDEST:
        raise LookupError(f"X must have at most {WIDEST} columns for an exact proof in a quadratic "
                          f"norm, got {size}")
    return _Norm("quadratic", True, matrix(size))


def _link(asked: Asked) -> smooth.Link:
    """The link of a norm or potential whose solutions have no end of digits; LookupError where no
    proof encloses them.
    """
    norm: Any = asked.norm
    if getattr(norm, "power", None) is not None:
        return smooth.lp(norm.power)
    # (a potential of another's may be called the same: these are the package's own)
    name, given = getattr(norm, "recipe", (norm.name, {}))
    own = getattr(potentials, name, None)
    if own is norm:
        found = {"entropy": smooth.entropy, "cosh": smooth.cosh}.get(name)
    else:
        made = {"power": smooth.lp, "hypentropy": smooth.hypentropy}.get(name)
        numbers = [v for v in given.values() if np.ndim(v) == 0] if made else []
        found = made(float(numbers[0])) if made and numbers else None
    if found is None:
        raise LookupError("norm must be l1, l2, linf, lp, quadratic, spectral, nuclear, entropy, "
                          "power, cosh or hypentropy of one number to have a proof, got "
                          f"{norm.name}")
    if asked.start is not None and asked.start.any() and not found.anywhere:
        raise LookupError(f"w0 must be 0 to have a proof in the {norm.name} potential, got "
                          f"{checks.short(asked.start)}")
    return found


def _rows(rows: Rows) -> np.ndarray:
    """The rows (N, D), dense; LookupError where they are too many."""
    if rows.count * rows.size > MOST:
        raise LookupError(f"X must have at most {MOST} numbers for an exact proof, got "
                          f"{rows.count * rows.size}")
    return np.asarray(rows.dense(), float)


def _found(norm: _Norm, asked: Asked, whole: Whole, start: np.ndarray,
           near: tuple[np.ndarray, np.ndarray, float]) -> Iterator[Pair]:
    """Exact solutions, as floats suggest them."""
    equal, (w, nu, margin) = asked.goal is not None, near
    if norm.link is not None:
        return _enclosed(norm.link, asked, whole, start, near)
    if not norm.square:
        Z = asked.rows.dense()
        goal = np.ones(len(Z)) if asked.goal is None else asked.goal
        return Polytope(Z, goal, whole, norm.name == "linf", equal).solutions(w, nu)
    square = Square(whole, norm.D, start)
    if equal:
        return square.equal(nu)
    # (binary, as what is made of rows has to be)
    length = np.frexp(margin)
    return square.holding(nu, Fraction(float(length[0]) ** -2) / Fraction(4) ** int(length[1]))


def _enclosed(link: smooth.Link, asked: Asked, whole: Whole, start: np.ndarray,
              near: tuple[np.ndarray, np.ndarray, float]) -> Iterator[Pair]:
    """Solutions in so many digits that they count as known."""
    w, nu, margin = near
    Z = np.asarray(asked.rows.dense(), float)
    goal = np.ones(len(Z)) if asked.goal is None else asked.goal
    # (w of a margin has a least margin of one)
    found = smooth.Smooth(Z, goal, whole, link, start, w if asked.goal is not None else w / margin)
    # multipliers of ‖w‖ are those of ‖w‖^p/p but for a power of ‖w‖
    scale = Decimal(1)
    if link.parameter is not None and isinstance(asked.norm, Norm):
        p = Decimal(float(link.parameter))
        if asked.goal is None:
            return found.holding(nu, Decimal(margin) ** -p)
        scale = Decimal(float(asked.norm(w[:whole.bound]))) ** (p - 1)
    return found.equal(nu, scale)


def _value(norm: _Norm, whole: Whole, pair: Pair, start: np.ndarray,
           goal: np.ndarray | None) -> Fraction:
    """What a norm is, or its square, or of others ⟨∇ψ(w) − ∇ψ(w0), w − w0⟩."""
    w, weights = pair
    if norm.link is None:
        return _size(w[:whole.bound], start, norm)
    if goal is None:
        return sum(weights, Fraction())
    on = [n for n, v in enumerate(weights) if v]
    top, low = together([weights[n] / (1 << int(whole.shifts[n])) for n in on])
    moved, under = together([Fraction(v) for v in start.tolist()])
    off = whole.goal[on] * under - whole.rows[on][:, :whole.bound] @ moved
    return Fraction(int(top @ off), low * under)


def _size(w: list[Fraction], start: np.ndarray, norm: _Norm) -> Fraction:
    """‖w‖, or ‖w − w0‖² where that is of squares."""
    if start.any():
        w = [v - Fraction(s) for v, s in zip(w, start.tolist(), strict=True)]
    top, low = together(w)
    if not norm.square:
        sizes = [abs(v) for v in top.tolist()]
        return Fraction(sum(sizes) if norm.name == "l1" else max(sizes), low)
    if norm.D is None:
        return Fraction(int(top @ top), low * low)
    D, shifts = binary(norm.D)
    rows = (D @ top).tolist()
    return sum((Fraction(v * x, low * low << int(shift)) for v, x, shift in
                zip(top.tolist(), rows, shifts, strict=True)), Fraction())


def _agreeing(limit: Limit, w: list[Fraction], value: Fraction, norm: _Norm) -> bool:
    """Whether the limit is the one that is proved, but for rounding."""
    if limit.kind == "direction" and norm.link is not None and norm.link.parameter is not None:
        p = norm.link.parameter
        power = Decimal(limit.margin) ** Decimal(float(p))
        off = power / Decimal(value.numerator) * Decimal(value.denominator) - 1
        return bool(abs(off) <= 2 * float(VALUE * p))
    if limit.kind == "direction":
        told = Fraction(limit.margin) ** (2 if norm.square else 1)
        return abs(told - value) <= 2 * VALUE * value
    flat = limit.w.ravel()
    # (of those in l1 and linf there may be several)
    if not norm.square and norm.link is None:
        told = _size([Fraction(v) for v in flat.tolist()], np.zeros(flat.size), norm)
        return abs(told - value) <= VALUE * max(told, value)
    try:
        exact = np.array([float(v) for v in w])
    except OverflowError:
        return False
    return bool(np.abs(exact - flat).max() <= NEAR * np.abs(flat).max())


def _checked(document: dict[str, Any]) -> dict[str, Any] | None:
    """A document that the checker takes; None where it does not."""
    try:
        check(document)
    except ValueError:
        return None
    return document


def _of_separability(found: Separability) -> dict[str, Any]:
    """The document; LookupError where there is none, and why."""
    rows = _asked(found.rows)
    Z = _rows(rows)
    # a separator in floats is a proof as it is
    if found.w is not None:
        flat = np.append(found.w.ravel(), np.ravel(found.intercept)[:rows.free])
        document = _checked(sealed("separable", 0, rows=floats(Z), primal=floats(flat), dual=[]))
        return _told(document, "its separator")
    assert found.dual is not None
    whole = Whole(Z, np.zeros(len(Z)), 0)
    given = {"rows": floats(Z), "primal": []}
    made = (_checked(sealed("inseparable", 0, **given, dual=texts(weights)))
            for weights in surrounding(Z, whole, found.dual.ravel()))
    return _told(_first(made), "weights that balance")


def _of_separation(found: Separation) -> dict[str, Any]:
    """The document; LookupError where there is none, and why."""
    rows = _asked(found.rows)
    Z = _rows(rows)
    own = np.ones(found.strict.shape, bool) if found.own is None else found.own
    strict, dual = found.strict[own], found.dual[own]
    whole, lam = Whole(Z, np.zeros(len(Z)), 0), [Fraction()] * len(Z)
    if not strict.all():
        near = balanced(whole, np.where(strict, 0.0, dual), 0.0)
        lam = lam if near is None else near
    w = [0] * Z.shape[1] if found.whole is None else found.whole.ravel().tolist()
    document = _checked(sealed("separation", 0, rows=floats(Z), primal=[text(int(v)) for v in w],
                               dual=texts(lam), strict=strict.tolist()))
    return _told(document, "weights that balance on all rows that are not strict")


def _asked(rows: Rows | None) -> Rows:
    if rows is None:
        raise LookupError("an answer must know its rows to have a proof, and this one was made "
                          "without them")
    return rows


def _first(made: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The first document that there is."""
    return next((document for document in made if document is not None), None)


def _told(document: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """The document; LookupError where there is none."""
    if document is None:
        raise LookupError(f"no exact proof was found: {what} could not be made exact")
    return document
