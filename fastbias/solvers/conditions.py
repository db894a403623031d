"""How far a direction is from being an ℓp maximum margin, for one p after the other."""
from __future__ import annotations

from contextlib import suppress
from functools import cached_property

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.pieces import norms
from fastbias.solvers.free import balanced
from fastbias.solvers.pivots import pivoted

__all__ = ["Conditions"]

EACH, MORE = 3, 20    # rows for each feature, and beside these, that may be support vectors …
MOST = 5000           # … of so many at most, whose products are a square matrix
LARGE = 20_000        # numbers from which the products of rows, made once, are quicker
CORRECTIONS = 2       # of weights, by what they leave: products lose half the digits of rows


class Conditions:
    """The optimality conditions of ``w`` over ``rows`` where its least margin is over 0.

    ∇‖w‖_p = Σ μ_n z_n with μ ≥ 0 and μ_n (m_n − m) = 0, as nearly as least squares come to them.
    Rows far from being support vectors are left out: their μ is 0.
    """

    def __init__(self, rows: Rows, w: np.ndarray, margins: np.ndarray) -> None:
        near = np.argsort(margins)[:min(EACH * w.size + MORE, MOST)]
        self.free, self.bound = rows.free, w[:rows.bound]
        # in units of the least margin
        least = float(margins.min())
        self.Z, self.slack = rows.take(near) / least, margins[near] / least - 1.0
        self.ends = (rows.ends[0][near], rows.ends[1][near]) if rows.free else None
        self.on = np.zeros(near.size, bool)

    def __call__(self, p: float) -> tuple[float, float]:
        """What the conditions leave for 1 < p < ∞, and a fraction of the maximum that w has at
        least: any μ ≥ 0 bounds that from above by ‖Σ μ_n z_n‖_q/Σ μ_n.
        """
        q, size = p / (p - 1.0), norms.lp(p)(self.bound)
        pull = np.sign(self.bound) * (np.abs(self.bound) / size) ** (p - 1.0)
        pull = np.append(pull, np.zeros(self.free))
        try:
            mu, off = (self._by_products if self.Z.size > LARGE else self._by_rows)(pull)
        except foreign.Unsolved:
            return np.inf, -np.inf
        if self.ends is not None:
            mu = balanced(self.ends, mu, max(self.free, 2))
        upper = norms.lp(q)(mu @ self.Z[:, :self.bound.size]) if mu.any() else np.inf
        return float(off), float(mu.sum()) / (size * upper) if upper > 0 else -np.inf

    def _by_rows(self, pull: np.ndarray) -> tuple[np.ndarray, float]:
        """μ and what it leaves, by non-negative least squares."""
        mu, off = foreign.ask("the optimality conditions of a margin", "scipy.optimize.nnls",
                              np.vstack([self.Z.T, np.diag(self.slack)]),
                              np.append(pull, np.zeros(self.slack.size)))
        return mu, float(off)

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray]:
        """The products of the rows of these least squares, of length one; and their lengths."""
        G = self.Z @ self.Z.T
        G[np.diag_indices(len(G))] += self.slack ** 2
        lengths = np.sqrt(np.diag(G))
        return G / lengths / lengths[:, None], lengths

    def _by_products(self, pull: np.ndarray) -> tuple[np.ndarray, float]:
        """The same from the products of rows, which no p changes, and the last answer."""
        G, lengths = self._products
        right = self.Z @ pull / lengths
        mu = pivoted(G, right, self.on, len(G), sizes=np.full(len(G), np.abs(right).max()))
        if mu is None:
            raise foreign.Unsolved("the optimality conditions of a margin could not be solved")
        self.on = mu > 0
        on = np.flatnonzero(self.on)
        rows, slack = self.Z[on] / lengths[on, None], self.slack[on] / lengths[on]
        mu = mu[on]
        for correction in range(CORRECTIONS + 1):
            left = pull - mu @ rows, -slack * mu
            if correction < CORRECTIONS:
                with suppress(foreign.Unsolved):
                    more = foreign.ask("the weights of support vectors", "scipy.linalg.solve",
                                       G[np.ix_(on, on)], rows @ left[0] + slack * left[1],
                                       assume_a="pos")
                    mu = np.maximum(mu + more, 0.0)
        whole = np.zeros(len(G))
        whole[on] = mu / lengths[on]
        return whole, float(np.linalg.norm(np.concatenate(left)))
