"""Classes that are separable in part, as tokens are that follow a context: the log-odds of those
that were seen there, and the widest margin over the others.

A context that comes with several labels is a sample of soft labels: p(c | x), the shares of its
classes, of which some are 0. The rows z_nc = (e_y − e_c) ⊗ x of classes that a context was seen
with balance each other, those of the others can be made strict.
"""
from __future__ import annotations

import numpy as np

from fastbias.problem import Problem
from fastbias.solvers import exact
from fastbias.solvers.cones import Cone, reduced
from fastbias.solvers.likelihood import Likelihood
from fastbias.solvers.limit import CERTIFIED, Hypothesis
from fastbias.solvers.minimiser import Minimiser, sure
from fastbias.theory.base import shown

__all__ = ["NEXT", "likeliest", "soft"]

NEXT = "Thrampoulidis (2024)"
SHARES = 1e-9         # of log-odds, relatively: how well shares are met


def likeliest(problem: Problem, parts: Cone) -> Minimiser:
    """The minimiser, in S, of what the loss is where strict rows have no part in it: Σ_n c_n log(1
    + Σ_c exp(−⟨v, z_nc⟩)) over the rows that no direction makes strict.
    """
    kept, d = np.flatnonzero(~parts.strict), problem.X.shape[1]
    if not kept.size:
        return Minimiser(np.zeros(problem.size), 0.0, np.zeros(problem.size), True)
    owner = kept // (problem.outputs - 1)
    c = np.ones(len(problem.X)) if problem.weights is None else problem.weights
    found = Likelihood(reduced(problem.rows)[kept], owner, c[np.unique(owner)],
                       parts.pivots).maximum()
    # the weights of the first class are 0 there: the part in S is what all such have in common
    onto = parts.basis @ parts.basis.T
    w = onto[:, d:] @ found.point
    errors = found.error * np.linalg.norm(found.root @ onto[:, d:].T, axis=0)
    Z = problem.Z[kept]
    rows, place = np.exp(-Z @ w), np.searchsorted(np.unique(owner), owner)
    pull = c[owner] * rows / (1.0 + np.bincount(place, rows))[place]
    terms = pull @ np.abs(Z)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.where(terms > 0, np.abs(exact.careful(Z, pull)) / terms, 0.0)
    residual = float(off.max(initial=0.0))
    return Minimiser(w, residual, errors, residual <= CERTIFIED and sure(problem, w, errors))


def soft(problem: Problem, parts: Cone, found: Minimiser) -> list[Hypothesis]:
    """Whether it is as the theorem asks: the log-odds of the shares are met on S, and just the
    classes that a context was not seen with can be made strict.
    """
    K, d, y = problem.outputs, problem.X.shape[1], problem.y.astype(int)
    c = np.ones(len(y)) if problem.weights is None else problem.weights
    contexts, place = np.unique(problem.X, axis=0, return_inverse=True)
    place = place.ravel()
    share = np.zeros((len(contexts), K))
    np.add.at(share, (place, y), c)
    # (row by row, the classes of each sample in order)
    other = np.array([k for n in range(len(y)) for k in range(K) if k != y[n]])
    owner = np.repeat(np.arange(len(y)), K - 1)
    seen = share[place[owner], other] > 0
    apart = bool((seen == ~parts.strict).all())
    rows = [Hypothesis("the classes that a context does not come with are those that can be made "
                       "strict", shown(apart), f"{len(contexts)} contexts, of which "
                       f"{int(((share > 0).sum(axis=1) > 1).sum())} come with several classes")]
    w = found.w.reshape(K, d)
    odds = np.log(share[place[owner], y[owner]]) - np.log(np.where(seen, share[place[owner], other],
                                                                   1.0))
    margins = ((w[y[owner]] - w[other]) * problem.X[owner]).sum(axis=1)
    off = float(np.abs(np.where(seen, margins - odds, 0.0)).max(initial=0.0))
    met = off <= SHARES * max(1.0, float(np.abs(odds[seen]).max(initial=0.0)))
    return [*rows, Hypothesis("some w has the log-odds of the shares on each context", shown(met),
                              f"v̄ is off by {off:.1e} at most"),
            Hypothesis("the theorem is as its source states it", None,
                       f"known from the abstract of {NEXT}; log-odds and margin are solved here, "
                       "and runs were held against them")]
