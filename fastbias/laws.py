"""What every piece must obey. ``fb.laws.check(my_norm)`` holds a user's own piece to what ours are held to.

The laws are the identities that the theory rests on: eq. (12) and Hölder's inequality for norms, ∇ψ⁻¹ ∘ ∇ψ = id and
monotony for potentials, derivatives by differences for everything that claims to be one; and what a piece declares of
itself (a tail, a power, a horizon …), which `trusted` lets the theory ask of a user's own pieces before it believes them.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from fastbias import checks, foreign, losses, models, norms, potentials, steps
from fastbias.abi import Records
from fastbias.assembly import assemble
from fastbias.doors import call, descend
from fastbias.losses import Loss
from fastbias.methods import Method
from fastbias.models import Model
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, make
from fastbias.sizes import worst
from fastbias.steps import StepRule

__all__ = ["Law", "LawBroken", "check", "demand", "ours", "tail", "trusted"]

SHARP = 1e-10     # identities, relative
DIFFERENCE = 1e-5  # derivatives by central differences, relative
HORIZON = 2e-2    # shapes of level sets as far out as float64 reaches, relative
FAR = (1.0, 1e4, 1e8, 1e16, 1e50, 1e100)         # sizes of predictions at which what a loss declares is looked at
SAME = 1e-9       # and what they may keep of that, however far out
TAIL = np.array([30.0, 100.0, 300.0, 700.0])  # margins at which a tail is looked at
TAIL_FAR = 1e-3   # what an exponential tail may still change by between the last two


class Law(NamedTuple):
    """One law, the worst relative error seen over the random trials, and what is tolerated."""

    statement: str
    worst: float
    tolerance: float


class LawBroken(ValueError, AssertionError):  # noqa: N818 (it names the event)
    """A piece broke a law; the message says which, by how much, and where."""


def check(piece: Any, size: int | None = None, trials: int = 50, rng: Any = 0) -> tuple[Law, ...]:
    """Hold a norm, potential, loss, model, method or step rule to its laws on random vectors.

    Parameters
    ----------
    piece : Norm, Potential, Loss, Model, Method or StepRule
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
        A ``ValueError`` (and ``AssertionError``) naming the law, the error and the vector.
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
    own = _length(piece)
    size = (5 if own is None else own) if size is None else checks.whole("size", size, least=1)
    if own not in (None, size):
        raise ValueError(f"size must be {own}, the only length that {piece!r} takes, got {size}")
    trial = next((laws for kind, laws in _LAWS.items() if isinstance(piece, kind)), None)
    if trial is None:
        raise TypeError(f"piece must be a Norm, Potential, Loss, Model, Method or StepRule, got {checks.short(piece)}")
    return _held(piece, (trial, _faces), size, trials, checks.generator("rng", rng))


def _length(piece: Any) -> int | None:
    """The only length of vectors that a piece takes."""
    if isinstance(piece, Method):
        return _length(piece.geometry)
    return piece.length if isinstance(piece, Model) else getattr(piece, "size", None)


def ours(piece: Any) -> bool:
    """Whether a piece is the library's own, as made: what one of its factories returned, or one of its constants."""
    return hasattr(piece, "recipe") or any(piece is example for module in (norms, potentials, losses, models, steps)
                                           for example in module.EXAMPLES)


_BROKEN: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def trusted(piece: Norm | Potential | Loss | Model) -> str:
    """Empty for a piece that may be believed, else the sentence that says which of its laws it breaks.

    The library's own are (the tests hold them to their laws); those of a user are held to all but their convex face, once.
    """
    if ours(piece):
        return ""
    if piece not in _BROKEN:
        trial: Any = {Norm: _norm, Potential: _potential, Loss: _loss, Model: _model}[next(
            kind for kind in (Norm, Potential, Loss, Model) if isinstance(piece, kind))]
        own = _length(piece)
        _BROKEN[piece] = ""
        try:
            with np.errstate(all="ignore"):
                _held(piece, (trial,), 5 if own is None else own, 3, np.random.default_rng(0))
        except LawBroken as broken:
            _BROKEN[piece] = str(broken)
    return _BROKEN[piece]


def demand(label: str, piece: Norm | Potential | Loss) -> None:
    """Raise ValueError where a piece of the user's own breaks a law; see `trusted`."""
    broken = trusted(piece)
    if broken:
        raise ValueError(f"{label} must obey its laws (fb.laws.check), but {broken}")


def _held(piece: Any, kinds: tuple[Trial, ...], size: int, trials: int, rng: np.random.Generator) -> tuple[Law, ...]:
    """Each law of these kinds with its worst error; LawBroken at the first that is broken."""
    seen: dict[str, Law] = {}
    for _ in range(trials):
        try:
            for statement, error, tolerance, where in (row for kind in kinds for row in kind(piece, rng, size)):
                if not error <= tolerance:
                    raise LawBroken(f"{piece!r} breaks the law {statement}: relative error {error:.3g}, tolerated "
                                    f"{tolerance:g}, at {where}")
                if statement not in seen or error > seen[statement].worst:
                    seen[statement] = Law(statement, error, tolerance)
        except LawBroken:
            raise
        except ValueError as refusal:
            raise LawBroken(f"{piece!r} breaks the law that its maps stay inside its domain: {refusal}") from None
    return tuple(seen.values())


Trial = Callable[[Any, np.random.Generator, int], Iterator[tuple[str, float, float, Any]]]


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


def _faces(piece: Any, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    """The convex face of a norm or a potential is the compiled one."""
    if isinstance(piece, Norm | Potential) and piece.convex is not None:
        cvxpy = foreign.library("cvxpy")
        x = _vector(rng, size) if isinstance(piece, Norm) else piece.to_primal(_dual(piece, rng, size))
        off = _off(piece.convex(cvxpy, cvxpy.Constant(x)).value, piece(x))
        yield ("the convex face is the norm" if isinstance(piece, Norm) else "the convex face is ψ"), off, \
            1e-4 if isinstance(piece, Norm) else 1e-6, x


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
        tied, e = np.ones(size), 1e-9 * rng.normal(size=size)
        tied[rng.integers(size)] = 0.0 if size > 1 else 1.0
        jump = norm.direction(np.where(tied == 0, 1e-300, tied + e)) - norm.direction(np.where(tied == 0, -1e-300, tied - e))
        yield "Δ is continuous where smooth is claimed", float(np.abs(jump).max()) / max(norm.dual(tied), 1.0), 0.1, tied
    if norm.power is not None:
        unit = float(np.abs(v).max())
        known = float(np.linalg.norm(v / unit, norm.power)) * unit if 1 < norm.power < np.inf else np.inf
        yield "the norm is ‖v‖_p for the power 1 < p < ∞ it claims", _off(norm(v), known), SHARP, v
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


def _dual(psi: Potential, rng: np.random.Generator, size: int) -> np.ndarray:
    """A dual vector (size,); a symmetric one where predictors are."""
    z = rng.normal(size=size) * 2
    if not psi.symmetric:
        return z
    Z = z.reshape(psi.symmetric, psi.symmetric)
    return np.asarray((Z + Z.T).ravel() / 2)


def _potential(psi: Potential, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    z, z2, g = _dual(psi, rng, size), _dual(psi, rng, size), 0.5 * _dual(psi, rng, size)
    kept = z.copy()
    w, w2 = psi.to_primal(z), psi.to_primal(z2)
    yield "∇ψ(∇ψ⁻¹(z)) = z", _off(psi.to_dual(w), z, 1.0), SHARP, z
    yield "a piece leaves its input alone", _off(z, kept), 0.0, z
    yield "⟨∇ψ(w) − ∇ψ(w'), w − w'⟩ > 0  (strict convexity)", float(not (z - z2) @ (w - w2) > 0), 0.0, (w, w2)
    yield "D_ψ(w, w') ≥ 0, and D_ψ(w, w) = 0", worst(-psi.divergence(w, w2), abs(psi.divergence(w, w))), 1e-9, (w, w2)
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
    elif not psi.symmetric:
        out = -10.0 * np.abs(w) - 1.0
        told = [call(psi.link, psi.params, out, np.empty(size)), call(psi.metric, psi.params, out, g, np.empty(size))]
        yield "the domain is the whole space where no lower is claimed", float(told != [0, 0]), 0.0, out
    flat = psi.solve(psi.start(size), np.ones(size)) if not psi.symmetric else np.ones(size)
    regular = bool((np.isfinite(flat) & (flat != 0)).all())
    yield "∇²ψ is singular at argmin ψ where degenerate is claimed", float(regular and psi.degenerate), 0.0, None
    if psi.horizon is not None:
        off, half = (_off(*(_reach(psi, v, level) * float(np.linalg.norm(v, psi.horizon)) for v in (w, w2)))
                     for level in (600.0, 300.0))
        nearer = max(0.0, off - max(0.75 * half, SAME))      # one of about that shape would stay as far from it
        yield "far level sets tend to the shape of the horizon that is claimed", off + nearer / SAME, HORIZON, (w, w2)
    if psi.quadratic:
        yield "∇ψ is linear where quadratic is claimed", _off(psi.to_dual(0.5 * (w + w2)), 0.5 * (z + z2), 1.0), SHARP, w
    if psi.matrix is not None:
        yield "∇ψ(w) = Dw for the matrix it claims", _off(z, psi.matrix(size) @ w), SHARP, w


def _reach(psi: Potential, v: np.ndarray, level: float) -> float:
    """The factor a at which ψ(a v) reaches e^level, by bisection of its logarithm."""
    low, high = -700.0, 600.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        with np.errstate(all="ignore"):
            value = psi(np.exp(middle) * v)
        low, high = (middle, high) if np.isfinite(value) and np.log(max(value, 1e-300)) < level else (low, middle)
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
    yield from _declared(loss, rng, y, p)
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


def _declared(loss: Loss, rng: np.random.Generator, y: np.ndarray, p: np.ndarray) -> Iterator[tuple[str, float, float, Any]]:
    """What a loss says of itself, at predictions of all sizes: its tail, convexity, and that it is quadratic."""
    for size in FAR:
        far = p * size * 10 ** rng.uniform(-1, 1.5)
        for apart in (p - far, rng.normal(size=p.size) * size * 10 ** rng.uniform(-1, 1.5)):
            (s, q), (s2, q2) = loss.scaled(far, y), loss.scaled(far + apart, y)
            if loss.convex:
                top = max(s, s2)
                terms = (np.exp(s2 - top) * q2 - np.exp(s - top) * q) * apart
                rise = float(terms.sum() / max(np.abs(terms).sum(), 1e-300))
                yield "ℓ is convex where that is claimed", worst(rise), 1e-9, (far, y)
            if loss.curvature is not None:
                turn, most = np.exp(s2) * q2 - np.exp(s) * q, loss.curvature * float(np.linalg.norm(apart))
                slack = SHARP * float(np.abs(np.exp(s) * q).max())
                excess = _above(float(np.linalg.norm(turn)) - slack, most)
                yield "‖∂²L/∂p²‖ ≤ the curvature that is claimed", excess, 1e-9, far
        if loss.quadratic:
            yield "ℓ(u, y) = (u − y)² where quadratic is claimed", max(
                _off(loss.push(far, y), 2.0 * (y - far)), _off(np.exp(loss.log(far, y)), ((far - y) ** 2).sum())), SHARP, far
    if loss.tail is not None and loss.kind == "monotone":
        rest, gaussian = tail(loss), loss.tail == "gaussian"
        size = float(np.log(TAIL[-1] / TAIL[0])) + 1.0 if gaussian else 1.0     # (Mills' ratio is one power of m)
        error = np.max([np.ptp(rest) / size, 0.0 if gaussian else abs(rest[-1] - rest[-2]) / TAIL_FAR])
        told = f"log(−ℓ'(m)) + {'m²/2' if gaussian else 'm'} runs from {rest[0]:.4g} to {rest[-1]:.4g}"
        yield (f"a tail is {'Gaussian' if gaussian else 'exponential'} where that is claimed ({told} over m = {TAIL[0]:g} … "
               f"{TAIL[-1]:g})"), float(error) if np.isfinite(error) else np.inf, 1.0, TAIL


def tail(loss: Loss) -> np.ndarray:
    """log(−ℓ'(m)) + m of a monotone loss (+ m²/2 for a Gaussian tail) at the margins TAIL; constant where it is tight."""
    rest = []
    for m in TAIL:
        p = np.array([0.0, m] if loss.classes else [m])
        s, q = loss.scaled(p, np.ones(1))
        with np.errstate(all="ignore"):
            rest.append(s + np.log(abs(q[-1])) + (0.5 * m * m if loss.tail == "gaussian" else m))
    return np.array(rest)


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
    if model.semidefinite:
        W = w.reshape(round(size ** 0.5), -1)
        values = np.linalg.eigvalsh(W + W.T)
        yield "F(u) is positive semidefinite where that is claimed", max(_off(W, W.T), _above(-values[0], 0.0) * float(
            values[0] < -SHARP * values[-1])), SHARP, u
    psi = None if model.mirror is None or model.commuting else model.mirror(u)
    if psi is not None:
        way = (psi.to_dual(model.predictor(_flowed(model, u, v), size)) - psi.to_dual(w)) / np.abs(v).max()
        aside = _off(way, v * ((way @ v) / (v @ v)))
        yield "∇ψ(F(u)) moves along −∂L/∂w where mirror is claimed", aside, DIFFERENCE, (u, v)
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
    if model.bias is not None:
        known = model.penalty is not None and model.balance is not None
        yield "a norm of its bias comes with the penalty R and its balanced u", float(not known), 0.0, None
    if model.linear:
        yield "F(u) = u where linear is claimed", _off(model.predictor(u, size), u), 0.0, u


def _flowed(model: Model, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where du/dt = F'(u)ᵀv is after a while, by Runge and Kutta."""
    h = 0.01 * np.abs(u).max() / np.abs(model.pull(u, v)).max()
    for _ in range(20):
        a = model.pull(u, v)
        b = model.pull(u + 0.5 * h * a, v)
        c = model.pull(u + 0.5 * h * b, v)
        u = u + h / 6 * (a + 2 * b + 2 * c + model.pull(u + h * c, v))
    return u


def _rule(rule: StepRule, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    k, s = int(rng.integers(0, 10**6)), rng.normal()
    eta = rule(k)
    yield "η_k > 0 and finite", float(not (eta > 0 and np.isfinite(eta))), 0.0, k
    told = [call(rule.rule, rule.params, k, x, 0.5) for x in (0.0, s)]
    yield "e^s is multiplied in", _off(told[1], told[0] * np.exp(s)), SHARP, (k, s)
    if not rule.loss:
        blind = call(rule.rule, rule.params, k, 0.0, -3.0)
        yield "η_k does not depend on L unless loss is claimed", _off(blind, told[0]), 0.0, k
    if rule.radius:
        wide = rule.params * np.where(np.arange(rule.params.size) == 1, 4.0, 1.0)
        larger = call(rule.rule, wide, k, 0.0, 0.5) if rule.params.size > 1 else np.inf
        yield "η_k is no larger for a larger B² where radius is claimed", _above(larger, told[0]), 0.0, k
    if rule.constant:
        yield "η_k is constant where that is claimed", _off(eta, rule(0)), 0.0, k


def _method(method: Method, rng: np.random.Generator, size: int) -> Iterator[tuple[str, float, float, Any]]:
    """One update of the logistic loss from a random start, and what the family that a method declares says of it."""
    eta, family = 1e-3, method.family
    if family != "accelerated":                              # whose rule is a part of it
        method = replace(method, rule=steps.constant(eta))
    problem = _tried(method, rng, size)
    u, v = problem.start, problem.descent(problem.start) - method.decay * problem.start
    (status, new), kept = _updated(problem), (problem.X.copy(), problem.y.copy())
    yield "an update ends with status 0", float(status != 0), 0.0, u
    yield "an update is finite", float(not np.isfinite(new).all()), 0.0, u
    yield "an update leaves the data alone", max(_off(problem.X, kept[0]), _off(problem.y, kept[1])), 0.0, u
    yield "the same state gives the same update", float(new.tobytes() != _updated(problem)[1].tobytes()), 0.0, u
    if method.sampling.batch:
        return
    move = (new - u) / eta
    yield "the first move descends", float(not v @ move > 0), 0.0, u
    g, dull = method.geometry, 1e-9 * float(np.abs(u).max(initial=1.0)) / eta
    if family == "gradient":
        yield "the move of gradient descent is −∇L", _off(move, v, dull), SHARP + 1e-9, u
    if family in ("steepest", "coordinate") and isinstance(g, Norm):
        length = 1.0 if method.unscaled else g.dual(v)
        yield "the move of steepest descent has the length ‖∇L‖⋆, 1 where unscaled is claimed", max(
            0.0, _off(g(move), length, dull) if family == "steepest" else _above(g(move), length)), 1e-6, u
        yield "⟨−∇L, Δ⟩ = ‖∇L‖⋆ ‖Δ‖ in the norm of steepest descent", _off(v @ move, g.dual(v) * g(move)), \
            1e-6 + (float(method.params[0]) if family == "coordinate" and method.params.size else 0.0), u
    if family == "natural" and isinstance(g, Potential):
        yield "the move of natural gradient descent is −∇²ψ⁻¹∇L", _off(move, g.solve(u, v), dull), 1e-6, u
    if family == "mirror" and isinstance(g, Potential) and method.constraint is None:
        yield "∇ψ(w⁺) = ∇ψ(w) − η∇L(w)", _off(g.to_dual(new) - g.to_dual(u), eta * v, 1e-6), 1e-6, u


def _tried(method: Method, rng: np.random.Generator, size: int) -> Problem:
    """A small problem for a method: logistic loss, samples of the shape that its geometry wants, a random start."""
    g, n = method.geometry, getattr(method.geometry, "symmetric", 0)
    shape = getattr(g, "shape", None) or ((n, n) if n else (2, 3) if method.shaped else (size,))
    X = rng.normal(size=(max(6, method.sampling.batch), *shape))
    if n:
        X = X + np.swapaxes(X, 1, 2)
    start = None if method.constraint is not None else rng.normal(size=shape)
    if isinstance(g, Potential) and start is not None:
        start = g.to_primal(_dual(g, rng, start.size))
    return make(X, rng.choice([-1.0, 1.0], len(X)), "logistic", method, "linear", start)


def _updated(problem: Problem) -> tuple[int, np.ndarray]:
    """The status and the parameters after one update."""
    pieces, params, buffers = assemble(problem)
    rows = Records(np.empty(0, np.int64), np.empty((0, problem.start.size)), np.empty(0))
    return int(descend(pieces, params, problem.X, problem.y, buffers, rows, 1, -np.inf)), buffers.u


_LAWS: dict[type, Trial] = {
    Norm: _norm, Potential: _potential, Loss: _loss, Model: _model, Method: _method, StepRule: _rule}
