"""The least cost over units of any number, by exchanging units: linear programs over those in hand,
to which the units join that their dual makes larger than one.

    min Σ|a_k|  s.t.  Σ a_k [⟨b_k, x_n⟩ + c_k]₊ + o = y_n    (margins: y_n (…) ≥ 1),
    max ⟨λ, y⟩  s.t.  |φ_λ(v)| ≤ 1 for all v of size one     (margins: y_n λ_n ≥ 0, max Σ|λ_n|),

all units of size one, and with Σλ = 0 where o is free. Units of one face and sign add up to one
unit that costs no more; and when the gap is small, Newton's method on the faces in use (`polish`)
makes the pair exact.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import ratio, worst
from fastbias.solvers.relu.centre import centred
from fastbias.solvers.relu.polish import Group, polish
from fastbias.solvers.relu.units import Units

__all__ = ["Pair", "Task", "balanced", "solve"]

ROUNDS = 80
JOIN = 200              # units that join for one λ, those of largest |φ|
NEAR = 0.02             # gaps from which polishing is tried
FIRST = 8               # units a sample to begin with
KEPT, ROOM = 6, 700     # units a sample, and more, that stay, those of largest |φ|
ENOUGH = 1e-13          # of gap and residual: rounding
PATIENCE, WAIT = 12, 3  # rounds without a better pair, and until λ is sought well inside
DUST = 1e-9, 1e-4  # units under this share of the largest are left out of polishing
DEAR = 1e-13            # of the widest unit: those that are seen less are not asked
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be solved: values y (N,) of size one, or labels ±1 where ``margin``."""

    units: Units
    y: np.ndarray
    offset: bool
    margin: bool


@dataclass(frozen=True, eq=False)
class Pair:
    """Units by faces, an offset, λ of max |φ| = 1, and how near each other they prove them.

    ``gap`` is relative, ``residual`` the largest misfit (margins: 0, as the units are scaled).
    """

    groups: list[Group]
    offset: float
    lam: np.ndarray
    gap: float
    residual: float
    top: float = 1.0

    @property
    def cost(self) -> float:
        """What the units cost; infinite where there are none."""
        return float(sum(np.sqrt(g.u @ g.u) for g in self.groups)) if self.groups else float("inf")

    @property
    def error(self) -> float:
        """The larger of the two."""
        return worst(self.gap, self.residual)


def balanced(lam: np.ndarray) -> np.ndarray:
    """λ with what rounding leaves of its sum taken from the least of its weights, whose own
    rounding is the finest.
    """
    if lam.any() and np.isfinite(lam).all():
        lam = lam.copy()
        lam[np.argmin(np.where(lam != 0, np.abs(lam), np.inf))] -= fsum(lam)
    return lam


def bounding(task: Task, lam: np.ndarray) -> tuple[np.ndarray, float]:
    """The λ next to one that obeys its equations and signs, of max |φ| = 1, and what that was."""
    if task.margin:
        lam = np.where(lam * task.y > 0, lam, 0.0)
    if task.offset and task.margin:
        plus, minus = lam[lam > 0].sum(), -lam[lam < 0].sum()
        # the larger class gives way
        lam = balanced(np.where(lam > 0, lam * min(1.0, ratio(minus, plus)),
                                lam * min(1.0, ratio(plus, minus))))
    elif task.offset:
        lam = balanced(lam - lam.mean())
    top = task.units.largest(lam)
    return (lam / top if top > 0 else np.zeros_like(lam)), top


def judged(task: Task, groups: list[Group], offset: float, lam: np.ndarray) -> Pair:
    """A pair, with its gap and residual."""
    lam, top = bounding(task, lam)
    cost = float(sum(np.sqrt(g.u @ g.u) for g in groups))
    f = np.full(len(task.y), offset)
    for g in groups:
        f = f + g.sign * np.maximum(g.u @ g.seen, 0.0)
    if not task.margin:
        bound = _bound(task, lam)
        return Pair(groups, offset, lam, ratio(abs(cost - bound), cost),
                    worst(np.abs(f - task.y)), top)
    least = float((task.y * f).min())
    if not (least > 0 and cost > 0):
        return Pair(groups, offset, lam, float("inf"), 0.0, top)
    bound = _bound(task, lam)
    groups = [replace(g, u=g.u / least) for g in groups]
    return Pair(groups, offset / least, lam, ratio(abs(cost / least - bound), cost / least), 0.0,
                top)


class _Columns:
    """Units in hand: their flats, coordinates, and values (N, K)."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self.at: list[tuple[int, np.ndarray]] = []
        self.values = np.empty((len(units.X), 0))

    def join(self, more: list[tuple[int, np.ndarray]]) -> None:
        values = [np.maximum(u @ self.units.flats[i].seen, 0.0) for i, u in more]
        some = [k for k, v in enumerate(values) if v.any()]
        self.at += [more[k] for k in some]
        self.values = np.column_stack([self.values, *(values[k] for k in some)])

    def keep(self, which: np.ndarray) -> None:
        self.at = [self.at[k] for k in np.flatnonzero(which)]
        self.values = self.values[:, which]


def _program(task: Task, F: np.ndarray) -> tuple[np.ndarray, float, np.ndarray] | None:
    """a, o and λ of the linear program over units of these values; None where it is not solved."""
    sizes = F.max(axis=0)
    # at prices in terms of the widest unit, what samples hardly see is too dear to be of use; where
    # that is all there is, in terms of the middle one
    for unit, least in ((float(sizes.max()), DEAR), (float(np.median(sizes)), 0.0)):
        found = _priced(task, F, sizes, unit, least)
        if found is not None:
            return found
    return None


def _priced(task: Task, F: np.ndarray, sizes: np.ndarray, unit: float,
            least: float) -> tuple[np.ndarray, float, np.ndarray] | None:
    """The same at prices in these units, of the columns whose sizes are over a share of it."""
    known = np.flatnonzero(sizes > least * unit)
    K, seen = len(known), F[:, known] / sizes[known]
    ones = np.ones((len(F), int(task.offset)))
    M = np.hstack([seen, -seen, ones, -ones])
    costs = np.concatenate([np.tile(unit / sizes[known], 2), np.zeros(2 * int(task.offset))])
    given: dict[str, Any] = {"A_eq": M, "b_eq": task.y} if not task.margin else \
        {"A_ub": -task.y[:, None] * M, "b_ub": -np.ones(len(F))}
    for options in (TIGHT, {}):
        try:
            found = foreign.ask("the program of ReLU units", "scipy.optimize.linprog", costs,
                                method="highs", options=options, **given)
        except foreign.Unsolved:
            continue
        if found.status == 0:
            a = np.zeros(len(sizes))
            a[known] = (found.x[:K] - found.x[K:2 * K]) / sizes[known]
            o = float(found.x[2 * K] - found.x[2 * K + 1]) if task.offset else 0.0
            lam = -found.ineqlin.marginals * task.y if task.margin else found.eqlin.marginals
            return a, o, lam / unit
    return None


def _merged(task: Task, columns: _Columns, a: np.ndarray, dust: float) -> list[Group]:
    """The units in use, those of one face and sign as one."""
    found: dict[tuple[Any, ...], Group] = {}
    for k in np.flatnonzero(np.abs(a) > dust * np.abs(a).max(initial=0.0)):
        i, u = columns.at[k]
        seen, sign = task.units.flats[i].seen, float(np.sign(a[k]))
        active = (u @ seen > 0).astype(float)
        key = i, sign, active.tobytes()
        new = abs(a[k]) * u
        if key in found:
            new = new + found[key].u
        found[key] = Group(i, sign, seen, active, new)
    return list(found.values())


def _starting(units: Units, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """The units of the rays, which make all values, in any order, and some of the other faces."""
    some, rays = [], []
    for crowd in units.critical(rng.normal(size=len(units.X))):
        if crowd.u.shape[1] == 1:
            rays = [(int(crowd.flats[k]), crowd.u[k]) for k in rng.permutation(len(crowd.phi))]
        else:
            some += [(int(crowd.flats[k]), crowd.u[k]) for k in np.argsort(-np.abs(crowd.phi))[:2]]
    return rays + some


def _violated(units: Units, lam: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The units of |φ_λ| > 1, the largest first."""
    found = [(float(abs(phi)), int(i), u) for crowd in units.critical(lam)
             for i, u, phi in zip(*(part[np.abs(crowd.phi) > 1 + 1e-12] for part in crowd),
                                  strict=True)]
    found.sort(key=lambda one: -one[0])
    return [(i, u) for _, i, u in found[:JOIN]]


def solve(task: Task) -> Pair:
    """The best pair found: certified or not, it is for others to say."""
    # (of points of sizes far from one numbers leave float64 on the way)
    with np.errstate(all="ignore"):
        return _exchanged(task)


def _exchanged(task: Task) -> Pair:
    """The best pair after so many rounds of a program, in which units join that break its bound."""
    if not task.margin and (task.y == (task.y[0] if task.offset else 0.0)).all():
        return Pair([], float(task.y[0]), 0.0 * task.y, 0.0, 0.0)
    columns, best = _Columns(task.units), Pair([], 0.0, 0.0 * task.y, float("inf"), float("inf"))
    waiting = _starting(task.units, np.random.default_rng(0))
    proved, cheapest, waited = best, best, 0
    for _ in range(ROUNDS):
        answer = _answered(task, columns, waiting)
        if answer is None:
            break
        a, offset, lam = answer
        groups = _merged(task, columns, a, 0.0)
        pairs = [judged(task, groups, offset, lam)]
        pairs += _polished(task, columns, a, offset, lam, pairs[0].gap)
        cheapest = min([cheapest, *pairs[1:]], key=lambda one: one.cost)
        # between the program's λ, which leaps, and the one that has proved most
        middle = (lam + proved.lam) / 2 if proved.lam.any() else lam
        pairs.append(judged(task, groups, offset, middle))
        if waited % WAIT == WAIT - 1 and cheapest.groups:
            centre = centred(task.units, task.y, cheapest.groups, columns.values, task.offset,
                             task.margin)
            if centre is not None:
                pairs.append(judged(task, cheapest.groups, cheapest.offset, centre))
        proved = max(proved, *pairs, key=lambda one: _bound(task, one.lam))
        if cheapest.groups:
            pairs.append(judged(task, cheapest.groups, cheapest.offset, proved.lam))
        found = min(pairs, key=lambda one: one.error)
        waited = 0 if found.error < 0.5 * best.error else waited + 1
        best = min(best, found, key=lambda one: one.error)
        if best.error <= ENOUGH or waited > PATIENCE:
            break
        # of the best pair on the faces in use, λ says which other faces are missing
        more = [unit for pair in pairs for unit in _violated(task.units, pair.lam * pair.top)]
        if not more:
            break
        phi = np.abs(lam @ columns.values)
        columns.keep((a != 0) | (phi >= np.sort(phi)[-min(phi.size, KEPT * task.y.size + ROOM)]))
        columns.join(more)
    if not np.isfinite(best.error):
        raise foreign.Unsolved("the program of ReLU units could not be solved: points that are too "
                               "near to each other for their values, or of too different sizes")
    return best


def _answered(task: Task, columns: _Columns, waiting: list[tuple[int, np.ndarray]]
              ) -> tuple[np.ndarray, float, np.ndarray] | None:
    """What `_program` says of the columns, joined by those that wait until it is solved."""
    answer = _program(task, columns.values) if columns.at else None
    while answer is None and waiting:
        # (few make all values, most of the time)
        some = max(FIRST * task.y.size, len(columns.at))
        columns.join(waiting[:some])
        del waiting[:some]
        answer = _program(task, columns.values)
    return answer


def _bound(task: Task, lam: np.ndarray) -> float:
    """What a λ of max |φ| ≤ 1 proves of the cost."""
    return float(np.abs(lam).sum() if task.margin else lam @ task.y)


def _polished(task: Task, columns: _Columns, a: np.ndarray, offset: float,
              lam: np.ndarray, gap: float) -> list[Pair]:
    """What polishing makes of the units in use."""
    for dust in DUST if gap <= NEAR else ():
        better = polish(task.y, _merged(task, columns, a, dust), offset, lam, task.offset,
                        task.margin)
        if better is not None:
            return [judged(task, *better)]
    return []
