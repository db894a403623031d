"""Other people's optimisers: in which norm is an update steepest, how far is a last layer, and runs
of what torch or optax make.

>>> import fastbias as fb
>>> fb.bridges.which_norm([[3.0, -4.0]], [[-0.3, 0.4]]).name
'l2'
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.shown import Bar, Report, Shown, Table
from fastbias.pieces import norms
from fastbias.pieces.methods import gradient_descent
from fastbias.pieces.norms import Norm
from fastbias.running.outside import Outside, Update, outside
from fastbias.running.plan import Plan
from fastbias.solvers.diagnose import Diagnosis, diagnose
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.solvers.margins import max_margin
from fastbias.trace import RunStopped

__all__ = ["LastLayer", "Steepness", "from_optax", "from_torch", "last_layer", "which_norm"]

EXACT = 1e-6          # 1 − ⟨−g, Δ⟩/(‖g‖⋆‖Δ‖) up to which an update is steepest
STEADY = 1e-6         # relative spread of scales that are one
POWERS = 1.02, 50.0   # of ℓp, between ℓ1 and ℓ∞
WITHIN = 0.1, 0.01    # of the maximum margin: what a last layer is asked to lack at most
MOST = 1_000_000      # exact steps before it is followed in log time …
WORK = 2e9            # … of which each reads all features
ROWS = 1000           # dense where the margin still changes with log t
SHORT = 1 / 32        # of 1/(B²L), so that a step is no other than many shorter ones
PAIRS = 20_000_000    # numbers, of samples beside classes, beyond which no steps are counted


@dataclass(frozen=True, eq=False, repr=False)
class Steepness(Shown):
    """In which norm updates are steepest descent, and how long they are.

    Parameters
    ----------
    name : str
        "l2", "l1", "linf", "lp", "spectral", "nuclear", or "none" where no update of that kind goes
        so far down for its length.
    p : float
        Of ℓp, also of ℓ1, ℓ2, ℓ∞; NaN for the others.
    defect : float
        The largest 1 − ⟨−g, Δ⟩/(‖g‖⋆‖Δ‖) over the updates, 0 for steepest descent.
    defects : dict of str to float
        That in every norm that was tried.
    scale : float
        The length of an update, by `rule`: ‖Δ‖/‖g‖⋆ (a step size), or ‖Δ‖ itself; the median.
    rule : "proportional", "fixed length" or "varying"
        Whether it is ‖Δ‖/‖g‖⋆, as in eq. (11), or ‖Δ‖ that is the same at every update.

    Examples
    --------
    >>> import fastbias as fb
    >>> seen = fb.bridges.which_norm([[3.0, -4.0]], [[-0.3, 0.4]])
    >>> seen.name, round(seen.scale, 12), seen.defect < 1e-12
    ('l2', 0.1, True)
    """

    name: str
    p: float
    defect: float
    defects: dict[str, float]
    scale: float
    rule: str

    def _report(self) -> Report:
        name = f"lp({self.p:.8g})" if self.name == "lp" else self.name
        rows = [(n, f"{d:.1e}", Bar(float(np.clip(1 - d, 0, 1)))) for n, d in self.defects.items()]
        return [f"updates are steepest in: {name}, scale {self.scale:.6g} ({self.rule})",
                Table(rows, ("", "short of steepest", ""))]


def which_norm(gradients: ArrayLike, updates: ArrayLike) -> Steepness:
    """Say in which norm updates are steepest descent for their gradients, and at what scale.

    Δ is steepest in a norm iff ⟨−g, Δ⟩ = ‖g‖⋆ ‖Δ‖, which is asked of ℓ1, ℓ2, ℓ∞, of matrices the
    spectral and nuclear norm, and of the best ℓp.

    Parameters
    ----------
    gradients : (K, d) or (K, m, n) array-like, or (d,) of one
        ∇L, before each update, of one layer.
    updates : the same shape
        What the optimiser added to the parameters. Where that has momentum or averages, hold them
        against the averaged gradient.

    Returns
    -------
    Steepness

    Raises
    ------
    ValueError
        Where shapes differ, or all is 0.

    Notes
    -----
    Eqs. (11), (12) of Gunasekar et al. 2018. Updates along a single coordinate are steepest in ℓ1,
    and so is any mean over several that tie. Of one entry alone all norms agree.

    Examples
    --------
    >>> import fastbias as fb
    >>> g = [[3.0, -4.0], [1.0, 2.0]]
    >>> seen = fb.bridges.which_norm(g, [[-0.1, 0.1], [-0.1, -0.1]])
    >>> seen.name, seen.scale, seen.rule
    ('linf', 0.1, 'fixed length')
    """
    g = checks.array("gradients", gradients, "a (K, d) or (K, m, n) array", dims=(1, 2, 3))
    delta = checks.array("updates", updates, "an array of that shape", dims=(1, 2, 3))
    if g.shape != delta.shape:
        raise ValueError(f"updates must have the shape {g.shape} of gradients, got {delta.shape}")
    if g.ndim == 1:
        g, delta = g[None], delta[None]
    shape, flat = g.shape[1:], g.reshape(len(g), -1)
    moved = delta.reshape(len(g), -1)
    some = flat.any(axis=1) & moved.any(axis=1)
    if not some.any():
        raise ValueError("updates must hold one that is not 0 where the gradient is not, got none")
    return _named(flat[some], moved[some], shape)


def _named(g: np.ndarray, delta: np.ndarray, shape: tuple[int, ...]) -> Steepness:
    """The norm of the least defect, the simplest among equals."""
    tried: dict[str, Norm] = {"l2": norms.lp(2), "l1": norms.lp(1), "linf": norms.lp(np.inf)}
    if len(shape) == 2:
        tried |= {"spectral": norms.spectral(*shape), "nuclear": norms.nuclear(*shape)}
    # lengths do not matter here, and might leave float64 where they are multiplied
    unit, moves = (x / np.abs(x).max(axis=1, keepdims=True) for x in (g, delta))
    defects = {name: _defect(norm, unit, moves) for name, norm in tried.items()}
    # of those that are steepest to rounding the simplest
    best = min(defects, key=lambda name: (max(defects[name], EXACT), list(tried).index(name)))
    p = {"l2": 2.0, "l1": 1.0, "linf": np.inf}.get(best, np.nan)
    if defects[best] > EXACT:
        power, defect = _best_power(unit, moves)
        defects["lp"] = defect
        if defect < defects[best]:
            best, p, tried["lp"] = "lp", power, norms.lp(power)
    rule, scale = _rule(tried[best], g, delta)
    named = best if defects[best] <= EXACT else "none"
    return Steepness(named, float(p) if named != "none" else np.nan, defects[best], defects, scale,
                     rule)


def _rule(norm: Norm, g: np.ndarray, delta: np.ndarray) -> tuple[str, float]:
    """What is the same at each update, and how much it is."""
    with np.errstate(all="ignore"):
        sizes = np.array([norm(d) for d in delta])
        steps = sizes / np.array([norm.dual(x) for x in g])
    # of one update both are the same
    if np.ptp(steps) <= STEADY * np.median(steps):
        return "proportional", float(np.median(steps))
    if np.ptp(sizes) <= STEADY * np.median(sizes):
        return "fixed length", float(np.median(sizes))
    return "varying", float(np.median(steps))


def _defect(norm: Norm, g: np.ndarray, delta: np.ndarray) -> float:
    """The largest 1 − ⟨−g, Δ⟩/(‖g‖⋆‖Δ‖)."""
    return max(1.0 + float(x @ d) / (norm.dual(x) * norm(d)) for x, d in zip(g, delta, strict=True))


def _best_power(g: np.ndarray, delta: np.ndarray) -> tuple[float, float]:
    """The p whose norm has the least defect, and that."""
    def at(x: float) -> float:
        return _defect(norms.lp(1 / x), g, delta)

    # in 1/p, where ℓ1 and ℓ∞ are the ends
    grid = np.linspace(1 / POWERS[1], 1 / POWERS[0], 25)
    near = int(np.argmin([at(x) for x in grid]))
    low, high = grid[max(near - 1, 0)], grid[min(near + 1, grid.size - 1)]
    found = foreign.ask("the best p", "scipy.optimize.minimize_scalar", at, bounds=(low, high),
                        method="bounded", options={"xatol": 1e-12})
    return 1 / float(found.x), float(found.fun)


@dataclass(frozen=True, eq=False, repr=False)
class LastLayer(Shown):
    """Where a last layer stands, and what it would still take.

    Parameters
    ----------
    fractions : dict of str to float
        For each norm, the margin of the weights as a fraction of the largest.
    best : str
        The norm with the largest fraction.
    away : float
        ‖w/‖w‖₂ − ŵ‖₂, ŵ the direction of the ℓ2 maximum margin, where gradient descent goes.
    steps : dict of float to float
        For each ε the log10 of how many more steps it takes until the ℓ2 margin lacks no more than
        ε of the maximum; −inf where it does not, NaN where that is not known.
    diagnosis : Diagnosis
        The whole of `fastbias.diagnose`.
    limit : Limit
        ŵ, certified; with an intercept of (w, b), both of which are measured by ℓ2.

    Examples
    --------
    >>> import fastbias as fb
    >>> seen = fb.bridges.last_layer([[1, 0], [0, 2], [-1, -1]], [1, 1, 0], [2, 1])
    >>> isinstance(seen, fb.bridges.LastLayer), seen.limit.certified
    (True, True)
    """

    fractions: dict[str, float]
    best: str
    away: float
    steps: dict[float, float]
    diagnosis: Diagnosis
    limit: Limit

    def _report(self) -> Report:
        told = {near: "it is there" if steps == -np.inf else f"10^{steps:.4g} steps of gradient "
                "descent" if np.isfinite(steps) else "steps not known"
                for near, steps in self.steps.items()}
        return [*self.diagnosis._report(), f"{self.away:.3g} from the l2 maximum margin",
                *(f"to within {near:g} of that margin: {text}" for near, text in told.items())]


def last_layer(features: ArrayLike, labels: ArrayLike, weights: ArrayLike, *,
               intercept: ArrayLike | None = None, step_size: float = 1.0) -> LastLayer:
    """Say which norm's margin a last layer maximises on its features, how nearly, and how many
    steps of gradient descent it would still take.

    The layers below are held as they are: features are data, and the last layer is a linear
    predictor whose limit is known. It goes on by gradient descent on the sum of exponential losses
    of all margins, of a sample beside each other class, which logistic losses and cross-entropies
    become; `Plan.fast_forward` follows it from the weights, at any t.

    Parameters
    ----------
    features : (N, d) array-like
        What goes into the last layer.
    labels : (N,) array-like
        Two values, or classes.
    weights : (d,) or (1, d), or (K, d) for K classes
        Of the last layer; what all classes share is taken out.
    intercept : float or (K,), optional
        Its bias.
    step_size : float > 0, default 1
        η, of a loss that is a sum over samples.

    Returns
    -------
    LastLayer

    Raises
    ------
    ValueError
        Where shapes do not fit, or the features are not separable.

    Notes
    -----
    Soudry et al. 2018. The margin approaches its maximum like 1/log t: a tenth of what it lacks
    takes the tenth power of the time.

    Examples
    --------
    >>> import fastbias as fb
    >>> seen = fb.bridges.last_layer([[1, 0], [0, 2], [-1, -1]], [1, 1, 0], [2, 1.5])
    >>> round(seen.fractions["l2"], 6), round(seen.steps[0.01], 1)
    (0.894427, 12.2)
    """
    W = checks.array("weights", weights, "a (d,) or (K, d) array", dims=(1, 2))
    # (scikit-learn has those of two classes as a row)
    if W.ndim == 2 and len(W) == 1:
        W = W[0]
    if W.ndim == 2:
        W = W - W.mean(axis=0)
    if not W.any():
        raise ValueError("weights must not be 0, nor the same for all classes, to have a direction")
    eta = checks.number("step_size", step_size, above=0)
    seen = diagnose(features, labels, W, intercept=intercept)
    X = checks.array("features", features, "an (N, d) array", dims=2)
    if intercept is not None:
        # of gradient descent the bias is one more weight, on ones
        b = np.atleast_1d(np.asarray(intercept, float))
        X = np.column_stack([X, np.ones(len(X))])
        W = np.append(W, b) if W.ndim == 1 else np.column_stack([W, b - b.mean()])
    limit = max_margin(X, labels, norms.l2)
    # of size one before it is squared
    unit = W / np.abs(W).max()
    away = float(np.linalg.norm(unit / np.linalg.norm(unit) - limit.w / np.linalg.norm(limit.w)))
    steps = _to_go(X, labels, W, limit.margin, eta)
    return LastLayer(seen.fractions, seen.best, away, steps, seen, limit)


def _to_go(X: np.ndarray, labels: ArrayLike, W: np.ndarray, margin: float,
           eta: float) -> dict[float, float]:
    """log10 of the steps until the margin lacks no more than each ε of the largest."""
    nowhere = dict.fromkeys(WITHIN, float("nan"))
    if W.ndim == 2:
        if X.size * len(W) ** 2 > PAIRS:
            return nowhere
        X, labels = _pairs(X, labels, len(W))
    start = W.ravel()
    begun = Plan(X, labels, loss="exponential", method=gradient_descent(1.0), start=start).problem
    # of a loss that is e^c times as large steps are e^c times as long: none is too short to follow
    with np.errstate(over="ignore"):
        step = SHORT * float(np.exp(-begun.log_loss(start))) / float((X * X).sum(axis=1).max())
        # a move straight on by s adds s to ‖w‖, and takes e^(γs) times the time
        far = 40.0 + 4.0 * margin * float(np.linalg.norm(start)) / min(WITHIN)
    if not (0 < step < np.inf and far < np.inf):
        return nowhere
    plan = Plan(X, labels, loss="exponential", method=gradient_descent(step), start=start)
    try:
        trace = plan.fast_forward(far, np.geomspace(0.01, far, ROWS), 1e-4,
                                  min(MOST, max(1, int(WORK / X.size))))
    except (NoTheorem, RunStopped):
        return nowhere
    lacks = 1.0 - trace.margin(norms.l2) / margin
    return {near: _reached(trace.log_t, lacks, near) + float(np.log10(step / eta))
            for near in WITHIN}


def _pairs(X: np.ndarray, labels: ArrayLike, K: int) -> tuple[np.ndarray, np.ndarray]:
    """(e_y − e_c) ⊗ x of each sample and other class, whose exponential losses the cross-entropy
    becomes.
    """
    own = np.unique(np.asarray(labels), return_inverse=True)[1]
    rows = [(np.eye(K)[y] - np.eye(K)[c])[:, None] * x
            for x, y in zip(X, own, strict=True) for c in range(K) if c != y]
    return np.reshape(rows, (len(rows), -1)), np.ones(len(rows))


def _reached(log_t: np.ndarray, lacks: np.ndarray, near: float) -> float:
    """log10 t from which on a gap stays at or under ``near``; −inf where it always is."""
    late = np.flatnonzero(lacks > near)
    if not late.size:
        return -np.inf
    k = int(late[-1])
    if k + 1 == lacks.size:
        return np.nan
    # like 1/log t in between, and hence straight in log t where rows are near each other
    share = (lacks[k] - near) / (lacks[k] - lacks[k + 1])
    return float((log_t[k] + share * (log_t[k + 1] - log_t[k])) / np.log(10)) \
        if log_t[k] > 0 else float(log_t[k + 1] / np.log(10))


def from_torch(make: Callable[[list[Any]], Any]) -> Outside:
    """A method for `Plan` of the optimiser that torch makes: slow, but under every diagnostic.

    Parameters
    ----------
    make : callable
        A list of one float64 parameter → the optimiser, such as ``lambda params:
        torch.optim.AdamW(params, lr=0.1)``. The parameter has the shape of the predictor where the
        model is linear, else (n,).

    Returns
    -------
    Method
        It declares nothing, so that no theorem speaks of it; `fastbias.axioms.examine` and
        `fastbias.identify` do. Runs cannot be saved, copied or fast-forwarded, since the state is
        torch's.

    Raises
    ------
    TypeError
        Where ``make`` is no function.
    ModuleNotFoundError
        In the first update, where torch is not installed.

    Notes
    -----
    Updates are torch's own, bit for bit. The gradient handed over is that of the sum of the losses.
    ``optimizer.step()`` is called without a closure.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.bridges.from_torch(lambda params: torch.optim.AdamW(params, lr=0.1))
    >>> fb.Plan([[1, 2]], [1], loss="squared", method=method)
    <Plan (1, 2), squared, from torch, t = 0>
    """
    if not callable(make):
        raise TypeError("make must be a function of a list of parameters that returns an optimiser "
                        f"of torch, got {checks.short(make)}")

    def starter(u: np.ndarray) -> Update:
        torch = foreign.library("torch")
        # (a copy: nobody but the optimiser writes to it)
        parameter = torch.nn.Parameter(torch.tensor(u, dtype=torch.float64))
        optimiser = make([parameter])

        def update(at: np.ndarray, gradient: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(at))
            parameter.grad = torch.from_numpy(np.ascontiguousarray(gradient))
            optimiser.step()
            return np.array(parameter.detach().numpy())
        return update

    return outside("from torch", starter)


def from_optax(transformation: Any) -> Outside:
    """A method for `Plan` of a gradient transformation of optax: slow, but under every diagnostic.

    Parameters
    ----------
    transformation : object with ``init(params)`` and ``update(gradient, state, params)``
        Such as ``optax.adam(0.1)``. It sees an array of the predictor's shape where the model is
        linear, else (n,). JAX computes in float32 unless ``jax_enable_x64`` is set.

    Returns
    -------
    Method
        As of `from_torch`.

    Raises
    ------
    TypeError
        Where it is no such object.

    Examples
    --------
    >>> import fastbias as fb
    >>> class Halved:                                   # what optax.sgd(0.5) is
    ...     def init(self, params):
    ...         return ()
    ...     def update(self, gradient, state, params=None):
    ...         return -0.5 * gradient, state
    >>> method = fb.bridges.from_optax(Halved())
    >>> fb.run([[1.0]], [1], loss="squared", method=method, steps=1).w[-1]
    array([1.])
    """
    if not callable(getattr(transformation, "init", None)) or not callable(
            getattr(transformation, "update", None)):
        raise TypeError("transformation must have the methods init and update, as those of optax "
                        f"have, got {checks.short(transformation)}")

    def starter(u: np.ndarray) -> Update:
        state = transformation.init(u)

        def update(at: np.ndarray, gradient: np.ndarray) -> np.ndarray:
            nonlocal state
            change, state = transformation.update(gradient, state, at)
            return at + np.asarray(change, float)
        return update

    return outside("from optax", starter)
