"""The laws of models: derivatives by differences, Euler's identity, penalties, invariants."""
from __future__ import annotations

import numpy as np

from fastbias.pieces.laws.base import DIFFERENCE, SHARP, Rows, above, unlike
from fastbias.pieces.models import Model


def of_model(model: Model, rng: np.random.Generator, size: int) -> Rows:
    """What every model must obey: one random trial."""
    # a step near the cube root of eps, where truncation and rounding of central differences meet
    n, h = model.parameters(size), 1e-6
    u, along, v = rng.normal(size=n), rng.normal(size=n), rng.normal(size=size)
    change = (model.predictor(u + h * along, size) - model.predictor(u - h * along, size)) / (2 * h)
    back = model.pull(u, v)
    yield "⟨v, F'(u) a⟩ = ⟨F'(u)ᵀ v, a⟩", unlike(v @ change, back @ along,
                                                 float(np.abs(back).max())), DIFFERENCE, (u, v)
    yield "F'(u)ᵀ is linear", unlike(model.pull(u, -2.0 * v), -2.0 * back), SHARP, (u, v)
    w = model.predictor(u, size)
    if model.second is not None:
        yield from _along(model, rng, (u, along, v))
    yield "the layers are all of u", \
        float(sum(layer.size for layer in model.split(u, size)) != n), 0.0, n
    if model.degree:
        far = model.predictor(1.5 * u, size)
        yield "F(a u) = a^L F(u), L the degree", unlike(far, 1.5 ** model.degree * w,
                                                        float(np.abs(w).max())), SHARP, u
        euler = model.degree * float(v @ w)
        yield "⟨F'(u)ᵀ v, u⟩ = L ⟨v, F(u)⟩  (Euler)", \
            unlike(back @ u, euler, float(np.abs(back * u).sum())), SHARP, (u, v)
    yield from _of_layers(model, rng, u, size)
    if model.semidefinite:
        W = w.reshape(round(size ** 0.5), -1)
        values = np.linalg.eigvalsh(W + W.T)
        yield "F(u) is positive semidefinite where that is claimed", \
            max(unlike(W, W.T), above(-values[0], 0.0) * float(
            values[0] < -SHARP * values[-1])), SHARP, u
    # a flow that is mirror flow for commuting data alone is not one for random rows
    psi = None if model.mirror is None or model.commuting else model.mirror(u)
    if psi is not None:
        way = (psi.to_dual(model.predictor(_flowed(model, u, v), size)) - psi.to_dual(w)) \
            / np.abs(v).max()
        aside = unlike(way, v * ((way @ v) / (v @ v)))
        yield "∇ψ(F(u)) moves along −∂L/∂w where mirror is claimed", aside, DIFFERENCE, (u, v)
    if model.penalty is not None:
        yield "R(F(u)) ≤ ‖u‖²", above(model.penalty(w), float(u @ u)), SHARP, u
    if model.balance is not None and model.penalty is not None:
        least = model.balanced(w)
        yield "F(u) = w for the balanced u of w", unlike(model.predictor(least, size), w), SHARP, w
        yield "its ‖u‖² is R(w)", unlike(least @ least, model.penalty(w)), SHARP, w
        if model.bias is not None:
            norm = model.bias((size,) if model.shape is None else model.shape)
            one, two = (model.penalty(x) / float(norm(x)) ** (2 / model.degree)
                        for x in (w, model.predictor(rng.normal(size=n) * 10 ** rng.uniform(-1, 1),
                                                     size)))
            yield "R is a power of the norm of its bias", unlike(one, two), SHARP, w
    invariant = model.invariant
    if invariant is not None and n > 1:
        off = u + 0.3 * np.sign(u)                        # (some have poles at 0)
        back = model.pull(off, v)

        def turned(move: np.ndarray) -> np.ndarray:
            ahead, behind = (invariant(model.split(off + x * h * move, size)) for x in (1.0, -1.0))
            return np.asarray(ahead - behind)
        scale = float(np.abs(turned(back * rng.normal(size=n))).max())
        yield "gradient flow keeps the invariant", unlike(turned(back) / max(scale, 1e-300), 0.0,
                                                          1.0), DIFFERENCE, (u, v)
    if model.bias is not None:
        known = model.penalty is not None and model.balance is not None
        yield "a norm of its bias comes with the penalty R and its balanced u", float(not known), \
            0.0, None
    if model.linear:
        yield "F(u) = u where linear is claimed", unlike(model.predictor(u, size), u), 0.0, u


def _of_layers(model: Model, rng: np.random.Generator, u: np.ndarray, size: int) -> Rows:
    """What F is as a function of each layer, and what matrices it makes."""
    w = model.predictor(u, size)
    for i in range(len(model.split(u, size)) if model.multilinear else 0):
        # at a combination of two layers F is that of its two values
        one, two = u.copy(), u.copy()
        other = rng.normal(size=model.split(u, size)[i].shape)
        model.split(one, size)[i][...] = other
        model.split(two, size)[i][...] = 2.0 * other - 3.0 * model.split(u, size)[i]
        parts = 2.0 * model.predictor(one, size), -3.0 * w
        yield "F is linear in each layer where multilinear is claimed", \
            unlike(model.predictor(two, size), parts[0] + parts[1],
                   float(np.abs(parts).max())), SHARP, (i, u)
    if model.symmetric:
        W = w.reshape(round(size ** 0.5), -1)
        yield "F(u) is symmetric where that is claimed", unlike(W, W.T), SHARP, u


def _along(model: Model, rng: np.random.Generator,
           where: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Rows:
    """What a model says of F along a move a, and of how F'(u)ᵀ v changes."""
    assert model.second is not None
    (u, a, v), other, h = where, rng.normal(size=where[0].size), 1e-6
    back = model.pull(u, v)
    moved, turned = model.second(u, a, v)
    yield "its F'(u) a is that of the pullback", \
        unlike(v @ moved, back @ a, float(np.abs(back * a).sum())), SHARP, where
    apart = (model.pull(u + h * a, v) - model.pull(u - h * a, v)) / (2 * h)
    yield "its change of F'(u)ᵀ v is that of the pullback", \
        unlike(turned, apart, float(np.abs(back).max())), DIFFERENCE, where
    one, two = other @ turned, a @ model.second(u, other, v)[1]
    yield "second derivatives are symmetric", \
        unlike(one, two, float(np.abs(other * turned).sum())), SHARP, where


def _flowed(model: Model, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where du/dt = F'(u)ᵀv is after a while, by Runge and Kutta."""
    h = 0.01 * np.abs(u).max() / np.abs(model.pull(u, v)).max()
    for _ in range(20):
        a = model.pull(u, v)
        b = model.pull(u + 0.5 * h * a, v)
        c = model.pull(u + 0.5 * h * b, v)
        u = u + h / 6 * (a + 2 * b + 2 * c + model.pull(u + h * c, v))
    return u
