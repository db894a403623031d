"""Maximum margins of networks of rectified units, to 2⁻¹⁰³: Newton's method, in a hundred digits,
on the faces that units lie on, and a tree of `cells` for all other units.

With the units v_k = u_k E_k on the flats of the samples that lie on their kinks, and values M_k u_k
at the rows that hold the margin, the conditions are those of `fastbias.solvers.relu.polish`:
y(Σ M_k u_k + o) = 1, M_kᵀ(yλ) = Q_k u_k/√(u_kᵀQ_k u_k), where Q_k measures the size, and Σyλ = 0
where o is free. Units that are not used but see as much join the second of these alone.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.proofs import network_checker
from fastbias.proofs.cells import Tight, Tree
from fastbias.proofs.documents import floats, sealed, text, texts
from fastbias.proofs.matrices import grid
from fastbias.proofs.smooth import DIGITS, decimals
from fastbias.proofs.wholes import binary, together
from fastbias.solvers.relu import Widest
from fastbias.solvers.relu.arrangement import flat_basis, unscaled

__all__ = ["document"]

PAD = Fraction(1, 2 ** 112)     # by which numbers are larger than what was found
LIGHT = 1e-7            # of the largest weight: rows with less have none
ON = 1e-9, 1e-12, 1e-7  # of the terms of ⟨z, v⟩: it is 0
STEPS = 25              # of Newton's method
REACHED = Decimal(10) ** -85     # errors of equations of size one: solved
CLOSE = 1e-6            # where derivatives need not be taken again
SINGULAR = 1e-12        # of the largest singular value: 0
WIDEST = 40             # features: in a hundred digits a unit costs their number cubed
JOIN = 4                # times that units join
AGREEING = 1e-9         # margins in floats and in a document, relatively


class _Unit(NamedTuple):
    """A unit: its sign, v (D,) of its weight's length, rows on its kink and rows that it sees, and
    whether it is used.
    """

    sign: int
    v: np.ndarray
    kinks: np.ndarray
    active: np.ndarray
    used: bool = True


class _Point(NamedTuple):
    """The used units (K, D), the offset, weights (N,) of sum one, and the margin."""

    units: Any
    offset: Decimal
    lam: Any
    margin: Decimal


def document(found: Widest) -> dict[str, Any]:
    """The document; LookupError where there is none, and why."""
    if found.asked is None:
        raise LookupError("an answer must know its points to have a proof, and this one was made "
                          "without them")
    points, y, counted, offset = found.asked
    Z, f = np.column_stack([points, np.ones(len(points))]), found.network
    V = np.abs(f.weights)[:, None] * np.column_stack([f.normals, f.shifts])
    if not (found.certified and np.isfinite(V).all()):
        raise LookupError("the margin must be certified in floats to have a proof, got a gap of "
                          f"{found.duality_gap:.1e} and margins {found.residual:.1e} off one")
    if points.shape[1] > WIDEST:
        raise LookupError(f"points must have at most {WIDEST} features for a proof to be looked "
                          f"for, got {points.shape[1]}")
    task = _Task(Z, y, int(not counted), offset)
    given = {"rows": floats(Z), "goal": [str(int(v)) for v in y]}
    for lines in task.solutions(np.sign(f.weights), V, f.offset, found.dual / found.margin):
        whole = sealed(network_checker.CLAIM, task.free, **given, **lines)
        with suppress(ValueError):
            network_checker.check(whole)
            if abs(Fraction(found.margin) / Fraction(whole["value"]) - 1) <= AGREEING:
                return whole
    raise LookupError("no proof was found of this margin: the units' equations have no solution "
                      "next to it in a hundred digits, or another unit sees as much")


class _Task(NamedTuple):
    """Rows (x_n, 1) (N, D), labels ±1 (N,), how many columns no size counts, and whether there is
    an offset.
    """

    Z: np.ndarray
    y: np.ndarray
    free: int
    offset: bool

    def solutions(self, signs: np.ndarray, V: np.ndarray, offset: float,
                  lam: np.ndarray) -> Iterator[dict[str, Any]]:
        """What documents may say, from units in floats, o and λ, for a margin of one."""
        held = np.flatnonzero(lam > LIGHT * lam.max())
        for on in ON:
            units = [self._unit(int(s), v, held, on) for s, v in zip(signs, V, strict=True)]
            for _ in range(JOIN):
                with localcontext(Context(prec=DIGITS)), np.errstate(all="ignore"):
                    try:
                        found = _Equations(self, units, held).solved(offset, lam[held])
                        if found is None:
                            break
                        lines, joining = self._written(units, found)
                    except ArithmeticError:                  # beyond float64, or unsolved
                        break
                yield lines
                joining = [unit for i, unit in enumerate(joining)
                           if not any(_same(unit, other) for other in units + joining[:i])]
                if not joining:
                    break
                units = units + joining

    def _unit(self, sign: int, v: np.ndarray, held: np.ndarray, on: float) -> _Unit:
        """A unit as the rows that hold the margin see it."""
        Z = self.Z[held]
        at = Z @ v
        kinks = np.abs(at) <= on * (np.abs(Z) @ np.abs(v))
        return _Unit(sign, v, held[kinks], held[~kinks & (at > 0)])

    def _written(self, units: list[_Unit],
                 found: _Point) -> tuple[dict[str, Any], list[_Unit]]:
        """The lines of a document, and the units that see more than it says."""
        lam, signs = self._weights(found.lam), [unit.sign for unit in units if unit.used]
        value = grid([found.margin])[0] * (1 + PAD)
        flat, D = grid(found.units.ravel()), self.Z.shape[1]
        V = [flat[i:i + D] for i in range(0, len(flat), D)]
        offset = grid([found.offset])[0] if self.offset else Fraction()
        longer = grid([1 / self._least(signs, V, offset)])[0] * (1 + PAD)
        lines: dict[str, Any] = {
            "offset": text(offset * longer) if self.offset else None, "dual": texts(lam),
            "primal": [[str(s), *texts([a * longer for a in v])]
                       for s, v in zip(signs, V, strict=True)], "value": text(value)}
        joining, names, cells = [], [], []
        for sign in (1, -1):
            c = [sign * int(y) * v for y, v in zip(self.y, lam, strict=True)]
            tree = Tree(self.Z, self.free, c, value).grown()
            names += tree.names
            cells += tree.leaves
            joining += [_joining(sign, one) for one in tree.tight]
        return {**lines, "tree": " ".join(names), "cells": cells}, joining

    def _weights(self, lam: Any) -> list[Fraction]:
        """Weights as binary fractions of sum one, where an offset is free of a half a label."""
        found = grid(lam)
        for label in (1, -1) if self.offset else (0,):
            own = [n for n, y in enumerate(self.y) if label in (0, y)]
            heavy = max(own, key=lambda n: found[n])
            found[heavy] += Fraction(1, 1 + abs(label)) - sum(found[n] for n in own)
        return found

    def _least(self, signs: list[int], V: list[list[Fraction]], offset: Fraction) -> Fraction:
        """The least margin."""
        top, low = together([a for v in V for a in v])
        W, shifts = binary(self.Z)
        seen = np.maximum(W @ top.reshape(len(V), -1).T, 0) @ np.array(signs, object)
        return min(int(y) * (Fraction(int(v), low << int(shift)) + offset)
                   for y, v, shift in zip(self.y, seen, shifts, strict=True))


def _joining(sign: int, one: Tight) -> _Unit:
    return _Unit(sign, one.v / np.sqrt(one.v @ one.v), one.kinks, one.active, False)


def _same(a: _Unit, b: _Unit) -> bool:
    """Whether units lie on one face."""
    return (a.sign == b.sign and np.array_equal(a.kinks, b.kinks)
            and np.array_equal(a.active, b.active))


class _Equations:
    """The conditions of units on their faces, of the rows that hold the margin."""

    def __init__(self, task: _Task, units: list[_Unit], held: np.ndarray) -> None:
        self.task, self.units, self.held = task, units, held
        Z, bound = decimals(task.Z[held]), task.Z.shape[1] - task.free
        self.bases = [_basis(task.Z[unit.kinks]) for unit in units]
        self.metrics = [E[:, :bound] @ E[:, :bound].T for E in self.bases]
        sees = [unit.sign * np.isin(held, unit.active).astype(int).astype(object)
                for unit in units]
        self.M = np.hstack([(Z @ E.T) * s[:, None] for E, s in
                            zip(self.bases, sees, strict=True)])
        sizes = [len(E) for E in self.bases]
        self.cut = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
        self.used = np.repeat(np.array([int(unit.used) for unit in units], object), sizes)
        self.y = task.y[held].astype(int).astype(object)

    def solved(self, offset: float, lam: np.ndarray) -> _Point | None:
        """The solution next to what floats say; None where none is found."""
        if not all(len(E) for E in self.bases):
            return None
        u = decimals(np.concatenate([
            foreign.ask("the equations of units", "numpy.linalg.lstsq",
                        np.asarray(E, float).T, unit.v, rcond=None)[0]
            for E, unit in zip(self.bases, self.units, strict=True)]))
        return self._newton(u, Decimal(offset), decimals(lam))

    def _newton(self, u: Any, o: Decimal, lam: Any) -> _Point | None:
        """The same; equations that lead beyond all numbers raise ArithmeticError."""
        K, h, solve, least = len(u), int(self.task.offset), None, Decimal("inf")
        for _ in range(STEPS):
            lengths, off = self._off(u, o, lam)
            worst = max(map(abs, off))
            if worst < REACHED:
                return self._point(u, o, lam, lengths)
            if not worst.is_finite() or worst > 100 * least:
                return None
            if solve is None or worst > CLOSE:
                solve = self._inverse(u, lengths, lam)
            least = min(least, worst)
            step = decimals(solve @ np.asarray(off / worst, float)) * worst
            u, o, lam = u - step[:K], o - sum(step[K:K + h]), lam - step[K + h:]
        return None

    def _off(self, u: Any, o: Decimal, lam: Any) -> tuple[list[Decimal], Any]:
        """The units' sizes, and how far off all equations are."""
        pulls = [Q @ u[at] for Q, at in zip(self.metrics, self.cut, strict=True)]
        lengths = [(u[at] @ pull).sqrt() for at, pull in zip(self.cut, pulls, strict=True)]
        ways = [pull / size for pull, size in zip(pulls, lengths, strict=True)]
        off = [self.y * (self.M @ (self.used * u) + o) - 1,
               self.M.T @ (self.y * lam) - np.concatenate(ways)]
        return lengths, np.concatenate([*off, [self.y @ lam] * int(self.task.offset)])

    def _inverse(self, u: Any, lengths: list[Decimal], lam: Any) -> np.ndarray:
        """What makes steps of errors, by derivatives in floats."""
        M, y = np.asarray(self.M, float), np.asarray(self.y, float)[:, None]
        n, K, h = *M.shape, int(self.task.offset)
        J = np.zeros((n + K + h, K + h + n))
        J[:n, :K], J[n:n + K, K + h:] = y * M * np.asarray(self.used, float), (y * M).T
        for at, Q, size in zip(self.cut, self.metrics, lengths, strict=True):
            G, length = np.asarray(Q, float), float(size)
            way = G @ np.asarray(u[at], float) / length
            J[np.ix_(n + at, at)] = (np.outer(way, way) - G) / length
        if h:
            J[:n, [K]], J[[-1], K + h:] = y, y.T
        # units are of the size of the cost, λ of its largest: then all unknowns are of size one
        sizes = np.concatenate([np.full(K, float(max(lengths))), np.ones(h),
                                np.full(n, float(max(map(abs, lam))))])
        J *= sizes
        even = np.sqrt((J * J).sum(axis=1))
        even = np.where(even > 0, even, 1.0)
        inverse = foreign.ask("the equations of units", "numpy.linalg.pinv", J / even[:, None],
                              rcond=SINGULAR)
        return np.asarray(sizes[:, None] * inverse / even)

    def _point(self, u: Any, o: Decimal, x: Any, lengths: list[Decimal]) -> _Point:
        """What is handed out."""
        lam = np.full(len(self.task.Z), Decimal(0), object)
        lam[self.held] = x / sum(x)
        used = [(u[at] @ E, size) for at, E, size, unit in
                zip(self.cut, self.bases, lengths, self.units, strict=True) if unit.used]
        return _Point(np.array([v for v, _ in used], object), o, lam,
                      1 / sum((size for _, size in used), Decimal()))


def _basis(kinks: np.ndarray) -> Any:
    """Vectors (k, D) that rows on a kink do not see, in so many digits and of size about one."""
    basis = flat_basis(binary(kinks)[0], kinks.shape[1])
    found = np.empty(basis.shape, object)
    for i, row in enumerate(basis):
        found[i] = [Decimal(v) / (1 << unscaled(row)[1]) for v in row.tolist()]
    return found
