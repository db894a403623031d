"""The laws of losses: slopes by differences, and what each declares of its shape and its tail."""
from __future__ import annotations

import numpy as np

from fastbias.checks.sizes import worst
from fastbias.engine.call import call
from fastbias.pieces.laws.base import DIFFERENCE, FAR, SHARP, TAIL, TAIL_FAR, Rows, above, unlike
from fastbias.pieces.losses import Loss


def of_loss(loss: Loss, rng: np.random.Generator, size: int) -> Rows:
    """What every loss must obey: one random trial."""
    y = rng.choice([-1.0, 1.0], size) if loss.kind == "monotone" else rng.normal(size=size)
    better, outputs = y, 1
    if loss.classes:
        outputs = 3
        y = rng.integers(outputs, size=size).astype(float)
        better = (np.arange(outputs)[:, None] == y).astype(float).ravel()
    p, direction = rng.normal(size=outputs * size) * 3, rng.normal(size=outputs * size)
    h = 1e-6
    push = loss.push(p, y)
    slope = (np.exp(loss.log(p + h * direction, y)) - np.exp(loss.log(p - h * direction, y))) \
        / (2 * h)
    scale = float(np.abs(push * direction).max()) + np.exp(loss.log(p, y)) * 1e-9 / h
    yield "e^s q = −∂L/∂p", unlike(-slope, push @ direction, scale), DIFFERENCE, (p, y)
    yield from _declared(loss, rng, y, p)
    yield from _curved(loss, direction, y, p)
    if loss.excess is not None and loss.ratio is not None:
        tail = 0.5 * p ** 2 if loss.tail == "gaussian" else p
        wanted = np.log(np.abs(loss.push(p, np.ones_like(p)))) + tail
        yield "excess is log(−ℓ'(m)) less its tail", unlike(loss.excess(p), wanted, 1.0), SHARP, p
        turned = (loss.excess(p - h) - loss.excess(p + h)) / (2 * h) \
            + (p if loss.tail == "gaussian" else 1.0)
        yield "ratio is −d log(−ℓ')/dm", unlike(loss.ratio(p), turned, 1.0), DIFFERENCE, p
    q = np.full(p.size, np.nan)
    call(loss.slope, loss.params, p, y, q)
    yield "q is finite", float(not np.isfinite(q).all()), 0.0, (p, y)
    if loss.kind == "root":
        yield "the minimum is at u = y, where the loss is 0", \
            float(loss.log(y, y) > -700 or loss.log(p, y) < -700), 0.0, y
        yield "∂L/∂p points away from the root", float(np.any(push * (y - p) < 0)), 0.0, (p, y)
    else:
        yield "the loss falls as the margin grows", \
            float(loss.log(p + better, y) >= loss.log(p, y)), 0.0, (p, y)


def _curved(loss: Loss, direction: np.ndarray, y: np.ndarray, p: np.ndarray) -> Rows:
    """What a loss says of its curvature along a direction, and, for each sample, of its changes."""
    if loss.curvature is not None:
        h = 1e-6
        turn = (loss.push(p + h * direction, y) - loss.push(p - h * direction, y)) / (2 * h)
        most = (1 + DIFFERENCE) * loss.curvature * float(np.linalg.norm(direction))
        yield "‖∂²L/∂p²‖ ≤ the curvature that is claimed", \
            above(float(np.linalg.norm(turn)), most), 0.0, (p, y)
    if loss.steepness is not None:
        yield from _steep(loss, direction, y, p)


def _steep(loss: Loss, direction: np.ndarray, y: np.ndarray, p: np.ndarray) -> Rows:
    """Whether each sample's curvature along a direction changes by no more than is claimed."""
    assert loss.steepness is not None
    parts = direction.reshape(-1, y.size)
    margins = np.abs(parts) if not loss.classes \
        else np.abs(parts - np.take_along_axis(parts, y.astype(int)[None], 0))
    h = 1e-4

    def bend(at: np.ndarray) -> np.ndarray:
        turn = loss.push(at - h * direction, y) - loss.push(at + h * direction, y)
        return np.asarray((turn * direction).reshape(parts.shape).sum(axis=0))
    most = np.exp(loss.steepness * margins.max(axis=0)) * bend(p)
    noise = SHARP * np.abs(loss.push(p, y) * direction).max()
    for there in (p + direction, p - direction):
        yield "ℓ'' changes by no more than the steepness that is claimed", \
            float((bend(there) - (1 + DIFFERENCE) * most - noise).max()), 0.0, (p, y)


def _declared(loss: Loss, rng: np.random.Generator, y: np.ndarray, p: np.ndarray) -> Rows:
    """What a loss says of itself, at predictions of all sizes: its tail, convexity, and that it is
    quadratic.
    """
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
                turn, most = np.exp(s2) * q2 - np.exp(s) * q, \
                    loss.curvature * float(np.linalg.norm(apart))
                slack = SHARP * float(np.abs(np.exp(s) * q).max())
                excess = above(float(np.linalg.norm(turn)) - slack, most)
                yield "‖∂²L/∂p²‖ ≤ the curvature that is claimed", excess, 1e-9, far
        if loss.quadratic:
            yield "ℓ(u, y) = (u − y)² where quadratic is claimed", max(
                unlike(loss.push(far, y), 2.0 * (y - far)),
                unlike(np.exp(loss.log(far, y)), ((far - y) **
                2).sum())), SHARP, far
    if loss.tail is not None and loss.kind == "monotone":
        rest, gaussian = tail(loss), loss.tail == "gaussian"
        # (Mills' ratio is one power of m)
        size = float(np.log(TAIL[-1] / TAIL[0])) + 1.0 if gaussian else 1.0
        error = np.max([np.ptp(rest) / size,
                        abs(rest[-1] - rest[-2]) / TAIL_FAR
                        if loss.tail == "exponential" else 0.0])
        name, less = {"gaussian": ("Gaussian", "m²/2"), "exponential": ("exponential", "m"),
                      "polynomial": ("polynomial", "(b + 1) log m")}[loss.tail]
        told = f"log(−ℓ'(m)) + {less} runs from {rest[0]:.4g} to {rest[-1]:.4g}"
        yield (f"a tail is {name} where that is claimed "
               f"({told} over m = {TAIL[0]:g} … {TAIL[-1]:g})"), \
                   float(error) if np.isfinite(error) else np.inf, 1.0, TAIL


def tail(loss: Loss) -> np.ndarray:
    """log(−ℓ'(m)) + m of a monotone loss (+ m²/2 for a Gaussian tail, + (b + 1) log m for a
    polynomial one) at the margins TAIL; constant where it is tight.
    """
    rest = []
    for m in TAIL:
        p = np.array([0.0, m] if loss.classes else [m])
        s, q = loss.scaled(p, np.ones(1))
        with np.errstate(all="ignore"):
            fall = m if loss.tail != "gaussian" else 0.5 * m * m
            fall = fall if loss.power is None else (loss.power + 1.0) * np.log(m)
            rest.append(s + np.log(abs(q[-1])) + fall)
    return np.array(rest)
