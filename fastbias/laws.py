"""What every piece must obey. ``fb.laws.check(my_norm)`` holds a user's own piece to what ours are held to.

The laws are the identities that the theory rests on: eq. (12) and Hölder's inequality for norms, ∇ψ⁻¹ ∘ ∇ψ = id and
monotony for potentials, derivatives by differences for everything that claims to be one.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.doors import call
from fastbias.losses import Loss
from fastbias.models import Model
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.steps import StepRule

__all__ = ["Law", "LawBroken", "check"]

SHARP = 1e-10     # identities, relative
DIFFERENCE = 1e-5  # derivatives by central differences, relative
HORIZON = 2e-2    # shapes of level sets as far out as float64 reaches, relative


class Law(NamedTuple):
    """One law, the worst relative error seen over the random trials, and what is tolerated."""

    statement: str
    worst: float
    tolerance: float


class LawBroken(AssertionError):  # noqa: N818 (it names the event)
    """A piece broke a law; the message says which, by how much, and where."""


def check(piece: Any, size: int | None = None, trials: int = 50, rng: Any = 0) -> tuple[Law, ...]:
    """Hold a norm, potential, loss, model or step rule to its laws on random vectors.

    Parameters
    ----------
    piece : Norm, Potential, Loss, Model or StepRule
    size : int, optional
        Length of the vectors; by default the piece's own, else 5.
    trials : int, default 50
        How many random vectors, of scales from 1e-3 to 1e3.
    rng : seed or numpy Generator, default 0

    Returns
    -------
    tuple of Law
        Each law with the worst error seen.

    Raises
    ------
    LawBroken
        An ``AssertionError`` naming the law, the error and the vector.
    TypeError
        Where the piece is none of these.

    Examples
    --------
    >>> import fastbias as fb
    >>> for law in fb.laws.check(fb.norms.lp(4/3))[:2]:
    ...     print(law.statement)
    ⟨Δ, g⟩ = ‖g‖⋆²  (eq. 12)
    ‖Δ‖ = ‖g‖⋆  (eq. 12)
    """
    trials = checks.whole("trials", trials, least=1)
    own = piece.length if isinstance(piece, Model) else getattr(piece, "size", None)
    size = (5 if own is None else own) if size is None else checks.whole("size", size, least=1)
    if own not in (None, size):
        raise ValueError(f"size must be {own}, the only length that {piece!r} takes, got {size}")
    trial = next((laws for kind, laws in _LAWS.items() if isinstance(piece, kind)), None)
    if trial is None:
        raise TypeError(f"piece must be a Norm, Potential, Loss, Model or StepRule, got {checks.short(piece)}")
    rng = np.random.default_rng(rng)
    worst: dict[str, Law] = {}
    for _ in range(trials):
        try:
            for statement, error, tolerance, where in trial(piece, rng, size):
                if not error <= tolerance:
                    raise LawBroken(f"{piece!r} breaks the law {statement}: relative error {error:.3g}, tolerated "
                                    f"{tolerance:g}, at {where}")
                if statement not in worst or error > worst[statement].worst:
                    worst[statement] = Law(statement, error, tolerance)
        except ValueError as refusal:
            raise LawBroken(f"{piece!r} breaks the law that its maps stay inside its domain: {refusal}") from None
    return tuple(worst.values())


def _off(a: Any, b: Any, scale: float = 0.0) -> float:
    """Relative difference of two numbers or vectors (NaN counts as infinite)."""
    a, b = np.atleast_1d(np.asarray(a, float)), np.atleast_1d(np.asarray(b, float))
    size = max(float(np.abs(a).max()), float(np.abs(b).max()), scale)
    error = float(np.abs(a - b).max()) / size if size > 0 else 0.0
    return error if np.isfinite(error) else np.inf


def _above(a: float, b: float) -> float:
    """By how much a ≤ b fails, relatively."""
    return max(0.0, (a - b) / max(abs(a), abs(b), 1e-300)) if np.isfinite(a) and np.isfinite(b) else np.inf


def _vector(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.asarray(rng.normal(size=size) * 10 ** rng.uniform(-3, 3))


def _convex(piece: Norm | Potential, x: np.ndarray, value: float) -> float:
    """How far the convex face is from the compiled one."""
    import cvxpy
    assert piece.convex is not None
    return _off(piece.convex(cvxpy, cvxpy.Constant(x)).value, value)


def _norm(norm: Norm, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    g, v = _vector(rng, size), _vector(rng, size)
    kept = g.copy()
    move = np.full(size, np.nan)
    status = call(norm.steepest, norm.params, g, move)
    dual = norm.dual(g)
    yield "⟨Δ, g⟩ = ‖g‖⋆²  (eq. 12)", _off(g @ move, dual ** 2), SHARP, g
    yield "‖Δ‖ = ‖g‖⋆  (eq. 12)", _off(norm(move), dual), SHARP, g
    yield "steepest returns status 0", float(status != 0), 0.0, g
    yield "a piece leaves its input alone", _off(g, kept), 0.0, g
    yield "⟨g, v⟩ ≤ ‖g‖⋆ ‖v‖  (Hölder)", _above(abs(float(g @ v)), dual * norm(v)), SHARP, (g, v)
    yield "‖a v‖ = |a| ‖v‖", _off(norm(-2.5 * v), 2.5 * norm(v)), SHARP, v
    yield "‖g + v‖ ≤ ‖g‖ + ‖v‖", _above(norm(g + v), norm(g) + norm(v)), SHARP, (g, v)
    yield "‖v‖ > 0 for v ≠ 0", float(not norm(v) > 0), 0.0, v
    yield "Δ(a g) = a Δ(g) for a > 0", _off(norm.direction(3.0 * g), 3.0 * move), SHARP, g
    zero = np.zeros(size)
    yield "Δ(0) = 0, ‖0‖ = ‖0‖⋆ = 0", float(np.abs(norm.direction(zero)).max() + norm(zero) + norm.dual(zero)), 0.0, zero
    if norm.ball is not None:
        known = np.abs(v).sum() if norm.ball == "cross-polytope" else np.abs(v).max()
        yield "the norm is the one whose unit ball it claims", _off(norm(v), known), SHARP, v
    if norm.smooth:
        tied, e = np.ones(size), 1e-13 * rng.normal(size=size)
        tied[rng.integers(size)] = 0.0 if size > 1 else 1.0
        jump = norm.direction(np.where(tied == 0, 1e-300, tied + e)) - norm.direction(np.where(tied == 0, -1e-300, tied - e))
        yield "Δ is continuous where smooth is claimed", float(np.abs(jump).max()) / max(norm.dual(tied), 1.0), 0.1, tied
    if norm.convex is not None:
        yield "the convex face is the norm", _convex(norm, v, norm(v)), 1e-4, v
    if norm.shrink is not None:
        t = 0.5 * norm.dual(g)
        near, slope = norm.shrink(g, t)
        yield "⟨g − v, v⟩ = t‖v‖, ‖g − v‖⋆ = t for v = shrink(g, t), t < ‖g‖⋆", max(
            _off((g - near) @ near, t * norm(near)), _off(norm.dual(g - near), t)), SHARP, g
        h, along = 1e-6 * t, v / np.abs(v).max()
        turned = (norm.shrink(g + h * along, t)[0] - norm.shrink(g - h * along, t)[0]) / (2 * h)
        yield "slope is the derivative of shrink", _off(slope(along[None])[0], turned, 1.0), DIFFERENCE, (g, v)
    if norm.matrix is not None:
        yield "‖v‖² = vᵀDv for the matrix it claims", _off(norm(v) ** 2, v @ norm.matrix(size) @ v), SHARP, v


def _potential(psi: Potential, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    z, z2, g = rng.normal(size=size) * 2, rng.normal(size=size) * 2, rng.normal(size=size)
    if psi.symmetric:
        z, z2, g = ((x.reshape(2 * (psi.symmetric,)) + x.reshape(2 * (psi.symmetric,)).T).ravel() / 2 for x in (z, z2, g))
    kept = z.copy()
    w, w2 = psi.to_primal(z), psi.to_primal(z2)
    yield "∇ψ(∇ψ⁻¹(z)) = z", _off(psi.to_dual(w), z, 1.0), SHARP, z
    yield "a piece leaves its input alone", _off(z, kept), 0.0, z
    yield "⟨∇ψ(w) − ∇ψ(w'), w − w'⟩ > 0  (strict convexity)", float(not (z - z2) @ (w - w2) > 0), 0.0, (w, w2)
    yield "D_ψ(w, w') ≥ 0, and D_ψ(w, w) = 0", max(-psi.divergence(w, w2), abs(psi.divergence(w, w))), 1e-9, (w, w2)
    h = 1e-6 * min(1.0, float(np.abs(w).min()))
    along = (psi(w + h * g) - psi(w - h * g)) / (2 * h)
    yield "∇ψ is the gradient of ψ", _off(along, z @ g, float(np.abs(z * g).max()) + abs(psi(w)) * 1e-9 / h), DIFFERENCE, w
    h = 1e-5
    turned = (psi.to_primal(z + h * g) - psi.to_primal(z - h * g)) / (2 * h)
    yield "the metric inverts the Hessian of ψ", _off(psi.solve(w, g), turned, 1e-6), DIFFERENCE, w
    yield "argmin ψ has ∇ψ = 0", float(np.abs(psi.to_dual(psi.start(size))).max()), SHARP, None
    if np.isfinite(psi.lower):
        out = w.copy()
        out[rng.integers(size)] = psi.lower - rng.uniform(0, 1) * rng.integers(2)
        told = [call(psi.link, psi.params, out, np.empty(size)), call(psi.metric, psi.params, out, g, np.empty(size))]
        yield "link and metric say OUT_OF_DOMAIN outside the domain", float(told != [2, 2]), 0.0, out
    if psi.convex is not None:
        yield "the convex face is ψ", _convex(psi, w, psi(w)), 1e-6, w
    if psi.horizon is not None:
        balls = [_reach(psi, v) * float(np.linalg.norm(v, psi.horizon)) for v in (w, w2)]
        yield "far level sets have the shape of the horizon that is claimed", _off(*balls), HORIZON, (w, w2)
    if psi.quadratic:
        yield "∇ψ is linear where quadratic is claimed", _off(psi.to_dual(0.5 * (w + w2)), 0.5 * (z + z2), 1.0), SHARP, w


def _reach(psi: Potential, v: np.ndarray) -> float:
    """The factor a at which ψ(a v) reaches e^600, by bisection of its logarithm."""
    low, high = -700.0, 600.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        with np.errstate(all="ignore"):
            value = psi(np.exp(middle) * v)
        low, high = (middle, high) if np.isfinite(value) and np.log(max(value, 1e-300)) < 600 else (low, middle)
    return float(np.exp(low))


def _loss(loss: Loss, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    y = rng.choice([-1.0, 1.0], size) if loss.kind == "monotone" else rng.normal(size=size)
    better, outputs = y, 1
    if loss.classes:
        outputs = 3
        y = rng.integers(outputs, size=size).astype(float)
        better = (np.arange(outputs)[:, None] == y).astype(float).ravel()
    p, direction = rng.normal(size=outputs * size) * 3, rng.normal(size=outputs * size)
    h = 1e-6
    push = loss.push(p, y)
    slope = (np.exp(loss.log(p + h * direction, y)) - np.exp(loss.log(p - h * direction, y))) / (2 * h)
    scale = float(np.abs(push * direction).max()) + np.exp(loss.log(p, y)) * 1e-9 / h
    yield "e^s q = −∂L/∂p", _off(-slope, push @ direction, scale), DIFFERENCE, (p, y)
    if loss.curvature is not None:
        turn = (loss.push(p + h * direction, y) - loss.push(p - h * direction, y)) / (2 * h)
        most = (1 + DIFFERENCE) * loss.curvature * float(np.linalg.norm(direction))
        yield "‖∂²L/∂p²‖ ≤ the curvature that is claimed", _above(float(np.linalg.norm(turn)), most), 0.0, (p, y)
    if loss.excess is not None and loss.ratio is not None:
        tail = 0.5 * p ** 2 if loss.tail == "gaussian" else p
        wanted = np.log(np.abs(loss.push(p, np.ones_like(p)))) + tail
        yield "excess is log(−ℓ'(m)) less its tail", _off(loss.excess(p), wanted, 1.0), SHARP, p
        turned = (loss.excess(p - h) - loss.excess(p + h)) / (2 * h) + (p if loss.tail == "gaussian" else 1.0)
        yield "ratio is −d log(−ℓ')/dm", _off(loss.ratio(p), turned, 1.0), DIFFERENCE, p
    q = np.full(p.size, np.nan)
    call(loss.slope, loss.params, p, y, q)
    yield "q is finite", float(not np.isfinite(q).all()), 0.0, (p, y)
    if loss.kind == "root":
        yield "the minimum is at u = y, where the loss is 0", float(loss.log(y, y) > -700 or loss.log(p, y) < -700), 0.0, y
        yield "∂L/∂p points away from the root", float(np.any(push * (y - p) < 0)), 0.0, (p, y)
    else:
        yield "the loss falls as the margin grows", float(loss.log(p + better, y) >= loss.log(p, y)), 0.0, (p, y)


def _model(model: Model, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    n, h = model.parameters(size), 1e-6
    u, along, v = rng.normal(size=n), rng.normal(size=n), rng.normal(size=size)
    change = (model.predictor(u + h * along, size) - model.predictor(u - h * along, size)) / (2 * h)
    back = model.pull(u, v)
    yield "⟨v, F'(u) a⟩ = ⟨F'(u)ᵀ v, a⟩", _off(v @ change, back @ along, float(np.abs(back).max())), DIFFERENCE, (u, v)
    yield "F'(u)ᵀ is linear", _off(model.pull(u, -2.0 * v), -2.0 * back), SHARP, (u, v)
    w = model.predictor(u, size)
    yield "the layers are all of u", float(sum(layer.size for layer in model.split(u, size)) != n), 0.0, n
    if model.degree:
        far = model.predictor(1.5 * u, size)
        yield "F(a u) = a^L F(u), L the degree", _off(far, 1.5 ** model.degree * w, float(np.abs(w).max())), SHARP, u
        euler = model.degree * float(v @ w)
        yield "⟨F'(u)ᵀ v, u⟩ = L ⟨v, F(u)⟩  (Euler)", _off(back @ u, euler, float(np.abs(back * u).sum())), SHARP, (u, v)
    if model.penalty is not None:
        yield "R(F(u)) ≤ ‖u‖²", _above(model.penalty(w), float(u @ u)), SHARP, u
    if model.balance is not None and model.penalty is not None:
        least = model.balanced(w)
        yield "F(u) = w for the balanced u of w", _off(model.predictor(least, size), w), SHARP, w
        yield "its ‖u‖² is R(w)", _off(least @ least, model.penalty(w)), SHARP, w
        if model.bias is not None:
            norm = model.bias((size,) if model.shape is None else model.shape)
            one, two = (model.penalty(x) / float(norm(x)) ** (2 / model.degree)
                        for x in (w, model.predictor(rng.normal(size=n) * 10 ** rng.uniform(-1, 1), size)))
            yield "R is a power of the norm of its bias", _off(one, two), SHARP, w
    if model.invariant is not None and n > 1:
        off = u + 0.3 * np.sign(u)                        # (some have poles at 0)
        back = model.pull(off, v)

        def turned(move: np.ndarray) -> np.ndarray:
            ahead, behind = (model.invariant(model.split(off + x * h * move, size)) for x in (1.0, -1.0))  # type: ignore[misc]
            return np.asarray(ahead - behind)
        scale = float(np.abs(turned(back * rng.normal(size=n))).max())
        yield "gradient flow keeps the invariant", _off(turned(back) / max(scale, 1e-300), 0.0, 1.0), DIFFERENCE, (u, v)
    if model.linear:
        yield "F(u) = u where linear is claimed", _off(model.predictor(u, size), u), 0.0, u


def _rule(rule: StepRule, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    k, s = int(rng.integers(0, 10**6)), rng.normal()
    eta = rule(k)
    yield "η_k > 0 and finite", float(not (eta > 0 and np.isfinite(eta))), 0.0, k
    told = [call(rule.rule, rule.params, k, x, 0.5) for x in (0.0, s)]
    yield "e^s is multiplied in", _off(told[1], told[0] * np.exp(s)), SHARP, (k, s)
    if rule.constant:
        yield "η_k is constant where that is claimed", _off(eta, rule(0)), 0.0, k


_LAWS: dict[type, Callable[[Any, np.random.Generator, int], Iterator[tuple[str, float, float, Any]]]] = {
    Norm: _norm, Potential: _potential, Loss: _loss, Model: _model, StepRule: _rule}
