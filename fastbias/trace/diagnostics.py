"""What can be asked of the rows of a run beside margins and limits: stationarity, invariants,
curvature, rank, and how far the path of explicit regularisation is.
"""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, Problem
from fastbias.solvers.kkt import stationarity
from fastbias.solvers.limit import Limit
from fastbias.solvers.oracles import has_margin
from fastbias.solvers.regularisation import path_norm
from fastbias.trace.paths import PLACES, distances
from fastbias.trace.ranks import KINDS, ranks
from fastbias.trace.sharpness import logarithms

__all__ = ["Diagnostics"]


class Diagnostics:
    """The questions of `Trace` that look at each row by itself."""

    u: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    least: np.ndarray | None
    problem: Data | None

    def _demand_w(self, what: str) -> None:
        """Raise ValueError where w was not kept at each row (``record_w=False``)."""
        if self.least is not None:
            raise ValueError(f"trace must have w at each row for {what}, got one of a run with "
                             "record_w=False, which keeps t, log_loss, the least margin and the "
                             "first and last w")

    def _data(self, what: str) -> Data:
        if self.problem is None:
            raise ValueError(f"trace must know its data for {what}, got one that was read from a "
                             "file")
        return self.problem

    def cone_distance(self, limit: Limit) -> np.ndarray:
        """Return how far −∇L/‖∇L‖₂ is from the cone of the limit's support vectors (K,), in ℓ2.

        Lemma 8: where w/‖w‖ converges, every accumulation point of −∇L/‖∇L‖ is Σ α_n y_n x_n, α ≥
        0, over the support vectors of the limit direction; so this tends to 0. Support vectors:
        margin within 1e-9 of the least, relatively.
        """
        self._demand_w("Lemma 8")
        # (a point has no support vectors)
        data = self._data("Lemma 8")
        if not isinstance(limit, Limit) or limit.kind != "direction" or limit.w.size != data.size:
            raise ValueError(f"limit must be a direction with {data.size} entries, got "
                             f"{checks.short(limit)}")
        return np.array([data.off_cone(row, limit.w) for row in self.w])

    def kkt_residual(self, norm: Norm | str = norms.l2) -> np.ndarray:
        """Return how far each row is from stationary in min ½‖u‖² s.t. y_n⟨F(u), x_n⟩ ≥ 1 (K,).

        A KKT point has Σ λ_n h_n ∈ ‖u‖∂‖u‖, h_n = F'(u)ᵀ y_n x_n, and λ_n (m_n − 1) = 0 with λ ≥ 0.
        With u scaled to a least margin of one, and L the degree of the model, it is in ℓ2 the least
        over λ of the root of ‖u − Σ λ_n h_n‖²/‖u‖² + Σ (λ_n (m_n − 1) L/‖u‖²)²; in quadratic norms
        the same in coordinates in which they are ℓ2. In other norms, where a subgradient jumps and
        a distance from it would not fall along a run, it is the least of (‖u‖² + ‖Σ λ_n h_n‖⋆² −
        2⟨Σ λ_n h_n, u⟩ + 2L Σ λ_n (m_n − 1))/‖u‖², the Bregman divergence of ½‖·‖², which in ℓ2 is
        a squared distance: 1 − (γ(u)/γ⋆)², with γ(u) the margin of u over the rows h_n and γ⋆ the
        largest. Where it is D, Σ λ_n h_n is in the dual norm within ‖u‖√(D/2) of the
        subdifferential at a point that near to u (Brøndsted & Rockafellar 1965).

        Parameters
        ----------
        norm : Norm or its name, default l2
            Of the parameters u (n,), all layers after each other.

        Returns
        -------
        (K,) float64
            0 at KKT points, of no units; infinite where a sample is on the wrong side. Where F has
            kinks (`models.relu`), in ℓ2 by the best elements of its subdifferential, held against
            the point by their Fenchel–Young gaps; in other norms by those of the pullback, which is
            an upper bound. With exponential losses gradient flow on a homogeneous model brings it
            to 0 (Lyu & Li 2020), the flow of steepest descent in its norm (Tsilivis et al. 2024).

        Raises
        ------
        ValueError
            Where the trace is of no homogeneous model on a monotone loss, the norm is not of n
            entries, or no maximum margin in it can be solved for.
        ArithmeticError
            Where a solver does not end.

        Examples
        --------
        >>> import fastbias as fb
        >>> X, y = [[3, 4], [1, 5]], [1, 1]
        >>> least = fb.max_margin(X, y, "l1").w              # all on the second feature
        >>> trace = fb.Trace.from_arrays(X, y, [0, 1], [[3, 4], least])
        >>> print(trace.kkt_residual("l1").round(6), trace.kkt_residual().round(6))
        [0.325255 0.      ] [0.078659 0.272166]
        """
        self._demand_w("a KKT residual")
        data = self._data("a KKT residual")
        norm = checks.one_of("norm", norm, norms, Norm)
        if data.loss.kind != "monotone" or (isinstance(data, Problem) and not data.model.degree):
            raise ValueError("trace must be a run of a homogeneous model on a monotone loss for a "
                             "KKT residual")
        # of parameters, not of predictors: of a network it is a norm of all layers
        if norm.size not in (None, self.u.shape[1]):
            raise ValueError(f"norm must be one of {self.u.shape[1]} parameters, got the "
                             f"{norm.name} norm of {norm.size}")
        demand("norm", norm)
        if not has_margin(norm):
            raise ValueError(f"norm must have a convex face for a KKT residual, got {norm!r}")
        return np.array([stationarity(data, row, norm)[0] for row in self.u])

    def invariant(self) -> np.ndarray:
        """Return what gradient flow on the model keeps, whatever loss and data, at each row (K, M).

        ``model.invariant`` of the layers, flat: UᵀU − VᵀV of a factorisation, W_lW_lᵀ −
        W_{l+1}ᵀW_{l+1} of a deep linear network, differences of squares of a diagonal or (frequency
        by frequency) convolutional one. Gradient descent with step η lets it drift by O(η), as far
        as it goes; ValueError where the trace knows no model, or one without such.

        Examples
        --------
        >>> import fastbias as fb
        >>> gd, model = fb.methods.gradient_descent(0.01), fb.models.diagonal(2)
        >>> plan = fb.Plan([[1]], [2], loss="squared", method=gd, model=model, start=[2, 1])
        >>> trace = plan.run(100, record=[0, 100])
        >>> print(trace.invariant().round(6))
        [[3.]
         [3.]]
        """
        self._demand_w("an invariant")
        model = getattr(self._data("an invariant"), "model", None)
        if model is None or model.invariant is None:
            known = "none that is known" if model is None else f"the {model.name} model"
            raise ValueError(f"trace must be of a model that keeps an invariant, got {known}")
        # (layers of a flat u are told by the length of predictors)
        size = int(np.prod(self.w.shape[1:]))
        return np.array([np.ravel(model.invariant(model.split(row, size))) for row in self.u])

    def sharpness(self, *, log: bool = False) -> np.ndarray:
        """Return the largest eigenvalue of the Hessian of L in the parameters u at each row (K,).

        λ_max(∇²L(u)), L(u) = Σ c_n ℓ(⟨F(u), x_n⟩, y_n), without what a decay ½λ‖u‖² would add (λ).
        Gradient descent with a constant step η stays near a minimum where it is at most 2/η. By
        Lanczos on products with the Hessian that are exact but for rounding, so that it is right to
        some 1e-12 of the eigenvalue of largest size.

        Parameters
        ----------
        log : bool, default False
            Return log λ_max, which goes on where λ_max has left float64; −inf where it is 0, NaN
            where it is negative.

        Returns
        -------
        (K,) float64
            NaN where the predictions, or the Hessian in units of the largest ℓ'', are beyond
            float64. At a kink, which has no second derivative,
            that of one side: Huber's corner counts as curved, a rectified unit whose sample lies on
            its hyperplane as off.

        Raises
        ------
        LookupError
            Where a loss (or model) of one's own brings no second derivative, `Loss.bend` (or
            `Model.along`).
        ValueError
            Where the trace was read from a file and knows no data, or has no rows of u.
        ArithmeticError
            Where Lanczos' method does not end.

        References
        ----------
        Cohen, Kaur, Li, Kolter, Talwalkar, "Gradient descent on neural networks typically occurs at
        the edge of stability" (2021).

        Examples
        --------
        >>> import fastbias as fb
        >>> gd, model = fb.methods.gradient_descent(0.1), fb.models.diagonal(2)
        >>> plan = fb.Plan([[1]], [1], loss="squared", method=gd, model=model, start=[3, 0.5])
        >>> sharpness = plan.run(1000).sharpness()               # 2 (u² + v²) where uv = 1
        >>> print(sharpness[[0, -1]].round(6), bool(sharpness[-1] < 2 / 0.1))
        [18.870941 17.51132 ] True
        """
        self._demand_w("a sharpness")
        data, log = self._data("a sharpness"), checks.flag("log", log)
        # a fast-forward joined to a run may know fewer
        wanted = data.model.parameters(data.size) if isinstance(data, Problem) else data.size
        if self.u.shape[1:] != (wanted,):
            raise ValueError(f"trace must have all {wanted} parameters for a sharpness, got rows "
                             f"of {self.u.shape[1]}")
        signs, logs = logarithms(data, np.ascontiguousarray(self.u))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(signs < 0, np.nan, logs) if log else signs * np.exp(logs)

    def rank(self, kind: str = "effective") -> np.ndarray:
        """Return a rank of the predictors at each row, which need not be whole (K,).

        Parameters
        ----------
        kind : "effective" or "stable", default "effective"
            With singular values σ of w: e^H, H = −Σ p_i log p_i with p = σ/Σσ (Roy & Vetterli
            2007), or ‖w‖_F²/‖w‖₂² = Σ σ_i²/max σ_i².

        Returns
        -------
        (K,) float64
            From 1 to min(m, n); NaN where w = 0. With classes, or several outputs, w is (C, d); an
            intercept is its last column.

        Raises
        ------
        ValueError
            Where predictors are vectors.

        References
        ----------
        Roy, Vetterli, "The effective rank: a measure of effective dimensionality" (2007).

        Examples
        --------
        >>> import fastbias as fb
        >>> trace = fb.Trace.from_arrays([[[1, 0], [0, 1]]], [1], [0, 1],
        ...                              [[[2, 0], [0, 2]], [[4, 0], [0, 2]]])
        >>> print(trace.rank().round(6), trace.rank("stable"))
        [2.       1.889882] [2.   1.25]
        """
        self._demand_w("a rank")
        kind = checks.name("kind", kind, KINDS)
        if self.w.ndim != 3:
            raise ValueError("trace must have predictors that are matrices for a rank, got "
                             f"predictors of shape {self.w.shape[1:]}")
        return ranks(self.w, kind)

    def path_gap(self, norm: Norm | str = norms.l2, at: str = "norm") -> np.ndarray:
        """Return the distance of each row from the path of explicit regularisation (K,).

        ‖w − ŵ(c)‖₂ with ŵ(c) = argmin L over ‖w‖ ≤ c of `regularisation_path`: at c = ‖w‖, or at
        the c with L(ŵ(c)) = L(w). Where the minimiser is not unique (in ℓ1, say), from the one that
        is found.

        Parameters
        ----------
        norm : Norm or its name, default l2
            Of the predictor w, all entries of it: an intercept of a run is one of them.
        at : "norm" or "loss", default "norm"
            What the row and the path have in common.

        Returns
        -------
        (K,) float64
            NaN where the path's own residual is over 1e-8 (its point is not known then), and with
            "loss" where L(w) > L(0). Of a loss that is not convex the path's points are stationary,
            and no more is known of them.

        Raises
        ------
        ValueError, TypeError
            Where the norm is none for which there is a path, or an argument is bad.

        References
        ----------
        Suggala, Prasad, Ravikumar, "Connecting optimization and regularization paths" (2018).

        Examples
        --------
        >>> import fastbias as fb
        >>> X, y, gd = [[2, 1], [0, 1]], [1, 1], fb.methods.gradient_descent(0.01)
        >>> trace = fb.run(X, y, loss="exponential", method=gd, steps=1000, record=[10, 1000])
        >>> print(trace.path_gap().round(6), trace.path_gap(at="loss").round(6))
        [0.       0.010085 0.281093] [0.       0.010063 0.275907]
        """
        self._demand_w("a path")
        data, at = self._data("a path"), checks.name("at", at, PLACES)
        w = self.w.reshape(len(self.w), -1)
        return distances(data, w, self.log_loss, path_norm(norm, data), at)
