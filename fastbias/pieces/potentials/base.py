"""What a potential is: its compiled maps, its value, and its convex face."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Sparse, foreign
from fastbias.checks.sizes import divided, length, row_lengths
from fastbias.checks.spans import SMALL, independent_rows, products, shortest
from fastbias.engine.abi import MAP, MAP_AT, VALUE, Piece, expect
from fastbias.engine.call import call
from fastbias.pieces.recipe import Portable

__all__ = ["Potential"]

COUPLED = 1e-6        # relative errors of products with a Hessian that say it is of another form
RIDGES = 1e-14, 1e-11, 1e-8       # of Newton's matrices, whose diagonal is one


@dataclass(frozen=True, eq=False)
class Potential(Portable):
    """A strictly convex potential ψ: its link, inverse link, inverse Hessian, value, and convex
    face.

    Parameters
    ----------
    name : str
        How it is called in tables.
    link, inverse_link : Piece of signature ``abi.MAP``
        (params, w, out): out ← ∇ψ(w), and (params, z, out): out ← (∇ψ)⁻¹(z).
    metric : Piece of signature ``abi.MAP_AT``
        (params, w, g, out): out ← ∇²ψ(w)⁻¹ g.
    value : Piece of signature ``abi.VALUE``
        (params, w) → ψ(w).
    params : (·,) array, default empty
        Numbers handed to the pieces.

    Other Parameters
    ----------------
    Engine: how its pieces are called, and where.

    size : int, optional
        The only length of vectors it can take; None for any.
    symmetric : int, default 0
        n where predictors are symmetric n × n matrices, kept flat; 0 where they are plain vectors.
    lower : float, default −inf
        The domain is w > lower in each coordinate (0 for the entropy); −inf for the whole space.
    dual_domain : (float, float), default (−inf, inf)
        The range of ∇ψ, in each coordinate ((−inf, 0) for −Σ log w): elsewhere ``inverse_link``
        returns OUT_OF_DOMAIN. Where 0 is not inside, ψ has no argmin and a start must be given.

    Oracle: how a projection is checked and found.

    convex : callable, optional
        (cvxpy itself, its expression w) → its expression ψ(w).
    matrix : callable, optional
        Length d → D with ∇ψ(w) = Dw, for potentials that are quadratic; where it is not given, the
        link is asked.

    Theory: what it declares, each under a law.

    separable : bool, default False
        Whether ψ is a sum over the entries, of the same function of each unless ``size`` is given:
        then the outputs of a predictor (K, d) are projected each by itself.
    quadratic : bool, default False
        Whether ∇ψ is linear, which makes natural gradient, primal and dual momentum all obey
        Theorem 1.
    degenerate : bool, default False
        Whether argmin ψ is a point where the Hessian is singular, so that natural gradient needs
        another start.
    horizon : float, optional
        p, where the level sets {ψ ≤ c}, brought to size one, tend to the ℓp ball as c → ∞ (the
        horizon function of ψ is ℓp).

    Examples
    --------
    >>> import fastbias as fb
    >>> psi = fb.potentials.entropy
    >>> psi.to_primal(psi.to_dual([1.0, 2.0]))
    array([1., 2.])
    >>> round(psi.divergence([1.0, 1.0], [1.0, 2.0]), 6)
    0.306853
    """

    name: str
    link: Piece
    inverse_link: Piece
    metric: Piece
    value: Piece
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    _: KW_ONLY
    size: int | None = None
    symmetric: int = 0
    lower: float = -np.inf
    dual_domain: tuple[float, float] = (-np.inf, np.inf)

    convex: Callable[[Any, Any], Any] | None = None
    matrix: Callable[[int], np.ndarray] | None = None

    separable: bool = False
    quadratic: bool = False
    degenerate: bool = False
    horizon: float | None = None

    def __post_init__(self) -> None:
        checks.fields("Potential", self, texts=("name",),
                      flags=("separable", "quadratic", "degenerate"), reals=("lower", "horizon"),
                      calls=("convex", "matrix"))
        object.__setattr__(self, "params",
                           checks.array("params", self.params, "a (K,) array", dims=1, empty=True))
        object.__setattr__(self, "symmetric", checks.whole("symmetric", self.symmetric))
        # ψ is of Legendre type: ∇ψ maps its domain onto this one
        low, high = checks.array("dual_domain", self.dual_domain, "two numbers", dims=1, length=2,
                                 finite=False)
        if not low < high:
            raise ValueError("dual_domain must be two numbers, the lower one first, got "
                             f"{checks.short(self.dual_domain)}")
        object.__setattr__(self, "dual_domain", (float(low), float(high)))
        if self.size is not None:
            object.__setattr__(self, "size", checks.whole("size", self.size, least=1))
        expect("Potential", self.params, () if self.size is None else (self.size,),
               link=(self.link, MAP),
               inverse_link=(self.inverse_link, MAP), metric=(self.metric, MAP_AT),
               value=(self.value, VALUE))

    def __call__(self, w: ArrayLike) -> float:
        """Return ψ(w) for w (d,)."""
        return float(call(self.value, self.params, self._vector("w", w)))

    def to_dual(self, w: ArrayLike) -> np.ndarray:
        """Return z = ∇ψ(w) (d,); ValueError where w (d,) lies outside the domain."""
        w = self._vector("w", w)
        z = np.empty_like(w)
        if call(self.link, self.params, w, z) != 0:
            raise ValueError(f"w must lie inside the domain of the {self.name} potential, got "
                             f"{checks.short(w)}")
        return z

    def to_primal(self, z: ArrayLike) -> np.ndarray:
        """Return w = (∇ψ)⁻¹(z) (d,), the point whose dual variable is z (d,); ValueError outside
        the dual domain.
        """
        z = self._vector("z", z)
        w, status = self._inverse(z)
        if status != 0:
            raise ValueError(f"z must lie inside the dual domain of the {self.name} potential, got "
                             f"{checks.short(z)}")
        return w

    def _inverse(self, z: np.ndarray) -> tuple[np.ndarray, int]:
        """(∇ψ)⁻¹(z) and the status of that; NaN where it is not 0."""
        w = np.empty_like(z)
        status = int(call(self.inverse_link, self.params, z, w))
        if status != 0:
            w[:] = np.nan
        return w, status

    def solve(self, w: ArrayLike, g: ArrayLike) -> np.ndarray:
        """Return ∇²ψ(w)⁻¹ g (d,) for w, g (d,), the move of natural gradient descent; NaN outside
        the domain.
        """
        w = self._vector("w", w)
        g = checks.array("g", g, "a (d,) array", dims=1, length=w.size)
        out = np.empty_like(w)
        if call(self.metric, self.params, w, g, out) != 0:
            out[:] = np.nan
        return out

    def divergence(self, w: ArrayLike, at: ArrayLike) -> float:
        """Return the Bregman divergence D_ψ(w, at) = ψ(w) − ψ(at) − ⟨∇ψ(at), w − at⟩."""
        w = self._vector("w", w)
        at = checks.array("at", at, "a (d,) array", dims=1, length=w.size)
        # far out ψ itself is beyond float64, and its difference is NaN, which is no error of the
        # caller's
        with np.errstate(over="ignore", invalid="ignore"):
            return self(w) - self(at) - float(self.to_dual(at) @ (w - at))

    @property
    def has_argmin(self) -> bool:
        """Whether ψ has a minimiser, which has the dual variable 0."""
        return self.dual_domain[0] < 0 < self.dual_domain[1]

    def start(self, d: int) -> np.ndarray:
        """Return argmin ψ (d,), the start at which Theorem 1 speaks of the minimum potential;
        ValueError without one.
        """
        d = checks.whole("d", d, least=1)
        if not self.has_argmin:
            raise ValueError(f"start must be given for the {self.name} potential, which has no "
                             f"argmin: 0 is not inside its dual domain ({self.dual_domain[0]:g}, "
                             f"{self.dual_domain[1]:g})")
        checks.fits("d", d, d)
        return self.to_primal(np.zeros(d))

    def project(self, A: ArrayLike | Sparse, b: ArrayLike,
                z0: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return w (d,) and ν (k,) with Aw = b and ∇ψ(w) = z0 + Aᵀν, for A (k, d), b (k,), z0 (d,),
        as good as it gets.

        For a quadratic ψ by linear algebra, else by damped Newton on the dual of eq. (6), max_ν ⟨ν,
        b⟩ − ψ*(z0 + Aᵀν); with rows of length one, dependent rows left out. A may be sparse where
        the Hessian is diagonal, or that and a multiple of wwᵀ. It certifies nothing:
        `fastbias.bregman_projection` does.
        """
        given, b, z0 = self._asked(A, b, z0)
        what = f"the projection in the {self.name} potential"
        # rows of any size: the equations are the same after each is divided by its length
        lengths = row_lengths(given)
        try:
            with foreign.guarded(what):
                # dependent rows would make Newton's matrix singular; ν is 0 at those that are left
                # out
                V = divided(given, lengths)
                rows = independent_rows(V)
                V, c = V[rows], (b / lengths)[rows]
                if not np.isfinite(c).all():
                    raise foreign.Unsolved(f"{what} could not be found: its equations ask for more "
                                           "than float64 can hold")
                # a linear link needs no iteration
                solve = self._project_dual if self.matrix is None else self._project_linear
                w, mu = solve(V, c, z0)
                nu = np.zeros(b.size)
                nu[rows] = mu / lengths[rows]
        except ValueError:
            # a map was asked where it is not defined
            raise foreign.Unsolved(f"{what} could not be found: Newton's method left what float64 "
                                   "can hold") from None
        return w, nu

    def _asked(self, A: Any, b: ArrayLike, z0: ArrayLike) -> tuple[Any, np.ndarray, np.ndarray]:
        """What a projection is asked of, checked."""
        A = checks.matrix("A", A) if hasattr(A, "tocsr") else checks.floats("A", A,
                                                                            "a (k, d) array", 2)
        b, z0 = checks.floats("b", b, "a (k,) array", 1), checks.floats("z0", z0, "a (d,) array", 1)
        if A.shape != (b.size, z0.size) or self.size not in (None, z0.size):
            raise ValueError(f"A must have the shape ({b.size}, {self.size or z0.size}) of b and "
                             f"z0 in the {self.name} potential, got {A.shape}")
        entries = A if isinstance(A, np.ndarray) else A.data
        if not (np.isfinite(entries).all() and np.isfinite(z0).all()):
            raise foreign.Unsolved(f"the projection in the {self.name} potential could not be "
                                   "found: it is asked of numbers that are not finite")
        return A, b, z0

    def _project_linear(self, V: Any, c: np.ndarray,
                        z0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for ψ(w) = ½wᵀDw, D = LLᵀ: in u = Lᵀw it is linear least squares, by QR, refined
        once; of sparse rows and D = 1 by their products.
        """
        assert self.matrix is not None
        linalg = foreign.library("scipy.linalg")
        if not isinstance(V, np.ndarray):
            if self.matrix is np.eye:
                return shortest(V, c, z0)
            # (no more numbers than D has)
            V = V.toarray()
        L = None if self.matrix is np.eye else np.linalg.cholesky(self.matrix(z0.size))

        def half(x: np.ndarray, trans: int = 0) -> np.ndarray:
            return x if L is None \
                else np.asarray(linalg.solve_triangular(L, x, lower=True, trans=trans))

        Q, R = linalg.qr(half(V.T), mode="economic")
        w, mu = half(half(z0), trans=1), np.zeros(c.size)
        # the second pass takes what the first left of the equations, which rounding made
        for _ in range(2):
            u = linalg.solve_triangular(R, c - V @ w, trans=1)
            w, mu = w + half(Q @ u, trans=1), mu + linalg.solve_triangular(R, u)
        return w, mu

    def _project_dual(self, V: Any, c: np.ndarray,
                      z0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same by damped Newton on the dual, for independent rows V of length one; where that
        fails, by other ways.
        """
        def solved(w: np.ndarray) -> bool:
            return length(c - V @ w) <= 1e-11 * (length(c) + length(w))

        w, mu = self._project_newton(V, c, z0)
        # a trial that overflowed stops Newton short: nearer targets lead there step by step
        if not solved(w):
            near, at = self._project_gradually(V, c, z0)
            if solved(near):
                return near, at
        if (not solved(w) and np.isneginf(self.lower) and not self.symmetric
            and isinstance(V, np.ndarray)):
            # a domain that is not the whole space, though none is claimed
            with suppress(ValueError, foreign.Unsolved):
                w, mu = self._project_primal(V, c, z0)
        return w, mu

    def _project_gradually(self, V: Any, c: np.ndarray,
                           z0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for ψ of a scale far under c (hyperbolic entropy, β = 1e-120), by way of targets
        nearer by.

        Each is e⁴ times as far off or more. Dual variables grow with the logarithm of that, at last
        along a line.
        """
        w = self.to_primal(z0)
        mu, rate, here = np.zeros(c.size), np.zeros(c.size), V @ w
        way = c - here
        far = float(np.abs(self._newton_move(w, V, way) @ V).max(initial=0.0))
        if not 1e3 < far < np.inf:
            return w, mu
        at, step = -float(np.log(far)), 0.0
        while True:
            target = here + np.exp(at) * way
            w, more = self._project_newton(V, target, z0 + (mu + step * rate) @ V)
            mu, rate = mu + step * rate + more, rate + more / step if step else rate
            if at >= 0 or not length(target - V @ w) <= 1e-3 * (length(target) + length(w)):
                return w, mu                                 # there, or lost on the way
            step = min(-at, 2.0 * step if step and np.abs(more @ V).max() < 0.1 else 4.0)
            at = at + step if step < -at else 0.0

    def _project_newton(self, V: Any, c: np.ndarray,
                        z0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Damped Newton on the dual."""
        def dual(mu: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
            z = z0 + mu @ V
            # a trial may leave the dual domain: it is then no better than any, and the line search
            # comes back
            w = self._inverse(z)[0] if np.isfinite(z).all() else np.full(z.size, np.nan)
            value = float(z @ w) - self(w) - float(c @ mu) if np.isfinite(w).all() else np.inf
            return w, value if np.isfinite(value) else np.inf, c - V @ w

        mu = np.zeros(c.size)
        # ν = 0 is z0 itself: a point that is on the plane is its own projection
        with np.errstate(all="ignore"):
            w, value, r = dual(mu)
            for _ in range(300 if c.size and np.isfinite(w).all() else 0):
                move = self._newton_move(w, V, r)
                far = float(np.abs(move @ V).max()) / (1.0 + float(np.abs(z0 + mu @ V).max()))
                # where ∇²ψ is 1e100, say, and falls like e^{−z}
                if far > 1e3:
                    move = move * (1e3 / far)
                # the dual is concave, so that halving the move must help until rounding ends it
                gain, size = float(r @ move), 1.0
                while size > 1e-60:
                    w_new, value_new, r_new = dual(mu + size * move)
                    # below that, values are rounding and only r can tell
                    if gain > 1e-10 * abs(value):
                        better = value_new <= value - 1e-4 * size * gain
                    else:
                        better = length(r_new) < length(r)
                    if better:
                        break
                    size /= 2
                else:
                    break
                mu, w, value, r = mu + size * move, w_new, value_new, r_new
        return w, mu

    def _project_primal(self, V: np.ndarray, c: np.ndarray,
                        z0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same by Newton's method on ψ(w) − ⟨z0, w⟩ along {w : Vw = c}, where the link is steep
        and its inverse flat.
        """
        what = f"the projection in the {self.name} potential"
        plus, N = np.linalg.pinv(V), foreign.ask(what, "scipy.linalg.null_space", V)
        w = plus @ c
        with np.errstate(all="ignore"):
            for _ in range(500 if N.shape[1] else 0):
                z = self.to_dual(w)
                g = N.T @ (z - z0)
                # relative to each coordinate: curvature may change as fast as the coordinate does
                h = 1e-6 * np.maximum(np.abs(w), 1e-6 * np.abs(w).max())
                H = N.T @ np.array([(self.to_dual(w + e) - self.to_dual(w - e)) / (2 * e.sum())
                                    for e in np.diag(h)]) @ N
                # differences are not symmetric to the last bit; the ridge is under their rounding
                H = 0.5 * (H + H.T) + 1e-14 * float(np.abs(np.diag(H)).max() or 1.0) \
                    * np.eye(H.shape[0])
                move = -foreign.ask(what, "numpy.linalg.lstsq", H, g, rcond=None)[0]
                size, slope, value = 1.0, float(g @ move), self(w) - float(z0 @ w)
                if not slope < 0:
                    break
                while size > 1e-12:
                    new = w + N @ (size * move)
                    fall = self(new) - float(z0 @ new) - value
                    if -slope > 1e-10 * abs(value):
                        better = fall <= 1e-4 * size * slope
                    else:
                        better = length(N.T @ (self.to_dual(new) - z0)) < length(g)
                    if better:
                        break
                    size /= 2
                else:
                    break
                # moves along the null space drift off the plane by rounding: brought back each time
                w = new - plus @ (V @ new - c)
        return w, foreign.ask(what, "numpy.linalg.lstsq", V.T, self.to_dual(w) - z0, rcond=None)[0]

    def _newton_move(self, w: np.ndarray, V: Any, r: np.ndarray) -> np.ndarray:
        """J⁻¹ r with J = V ∇²ψ(w)⁻¹ Vᵀ, brought to a unit diagonal; where J is singular, at a point
        nearby.
        """
        for at in (w, np.where(np.abs(w) < 1e-8 * (np.abs(w).max() or 1e8), 1e-8 * np.abs(w).max()
                               or 1.0, w)):
            J = self._curvature(at, V)
            # entries of J span hundreds of decades where those of w do, and lstsq takes for 0 what
            # is small beside the largest
            diagonal = np.sqrt(np.abs(np.diag(J)))
            if (diagonal > 0).all():
                J = J / np.outer(diagonal, diagonal)
                move = _newton_solution(J, r / diagonal) / diagonal
                # J is positive definite, so that a move that is not one of ascent is rounding's
                if r @ move > 0:
                    return np.asarray(move)
        return r

    def _curvature(self, at: np.ndarray, V: Any) -> np.ndarray:
        """V ∇²ψ(at)⁻¹ Vᵀ (k, k); of many rows, or sparse ones, by the form that ∇²ψ has."""
        few = isinstance(V, np.ndarray) and V.size <= SMALL
        form = None if few else self._form(at)
        if form is None:
            if not isinstance(V, np.ndarray):
                raise foreign.Unsolved(f"the projection in the {self.name} potential could not be "
                                       "found of sparse rows: its Hessian is not diagonal")
            return np.asarray(V @ np.array([self.solve(at, row) for row in V]).T)
        h, c, a = form
        along = V @ a
        return products(V, h) + c * np.outer(along, along)

    def _form(self, at: np.ndarray) -> tuple[np.ndarray, float, np.ndarray] | None:
        """h (d,), c and a = at/|at| with ∇²ψ(at)⁻¹ = diag(h) + c aaᵀ, as the metric itself says;
        None where it has another form.
        """
        rng = np.random.default_rng(0)
        a = at / (float(np.abs(at).max()) or 1.0)
        size, probe = float(a @ a), rng.choice([-1.0, 1.0], at.size)
        # a vector across w leaves the diagonal alone
        across = probe - float(probe @ a) / size * a if size > 0 else probe
        h = self.solve(at, across) / across
        c = float((self.solve(at, a) - h * a) @ a) / size ** 2 if size > 0 else 0.0
        probe = rng.normal(size=at.size)
        found = self.solve(at, probe)
        error = found - h * probe - c * float(a @ probe) * a
        # (where there is no Hessian there is no other form)
        other = length(error) > COUPLED * length(found)
        return None if other else (h, c, a)

    def _vector(self, label: str, x: ArrayLike) -> np.ndarray:
        return checks.array(label, x, "a (d,) array", dims=1, length=self.size)

    def __repr__(self) -> str:
        return f"<potential {self.name}>"


def _newton_solution(J: np.ndarray, r: np.ndarray) -> np.ndarray:
    """J⁻¹ r for J of a unit diagonal, nearly positive definite; 0 where there is none.

    By least squares; a large J by factors, with as small a ridge as lets them be.
    """
    if J.size <= SMALL:
        with suppress(foreign.Unsolved):
            return np.asarray(foreign.ask("a step of Newton's method", "numpy.linalg.lstsq", J, r,
                                          rcond=None)[0])
        return np.zeros_like(r)
    for ridge in RIDGES:
        with suppress(foreign.Unsolved):
            return np.asarray(foreign.ask("a step of Newton's method", "scipy.linalg.solve",
                                          J + ridge * np.eye(len(J)), r, assume_a="pos"))
    return np.zeros_like(r)
