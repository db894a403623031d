"""In which norm is an update steepest? Directions are written here from eq. (11), not taken from pieces."""
import numpy as np
import pytest

import fastbias as fb

RNG = np.random.default_rng(0)
G = RNG.normal(size=(6, 3, 4))
FLAT = G.reshape(6, -1)
U, S, V = np.linalg.svd(G, full_matrices=False)


def one(g):
    out = np.zeros_like(g)
    for row, x in zip(out, g, strict=True):
        row[np.argmax(np.abs(x))] = x[np.argmax(np.abs(x))]
    return out


@pytest.mark.parametrize(("name", "g", "delta", "scale", "rule"), [
    ("l2", FLAT, -0.1 * FLAT, 0.1, "proportional"),
    ("l2", FLAT, -0.1 * FLAT / np.linalg.norm(FLAT, axis=1)[:, None], 0.1, "fixed length"),
    ("linf", FLAT, -0.1 * np.sign(FLAT), 0.1, "fixed length"),
    ("linf", FLAT, -0.1 * np.sign(FLAT) * np.abs(FLAT).sum(1)[:, None], 0.1, "proportional"),
    ("l1", FLAT, -0.1 * one(FLAT), 0.1, "proportional"),
    ("spectral", G, -0.02 * U @ V, 0.02, "fixed length"),
    ("nuclear", G, -0.3 * S[:, :1, None] * U[:, :, :1] @ V[:, :1], 0.3, "proportional"),
])
def test_norm_scale_and_rule(name, g, delta, scale, rule):
    seen = fb.bridges.which_norm(g, delta)
    assert (seen.name, seen.rule) == (name, rule)
    assert seen.scale == pytest.approx(scale, rel=1e-12)
    assert seen.defect < 1e-12


@pytest.mark.parametrize("p", [1.2, 1.5, 3.3, 8.0])
def test_the_power(p):
    q = p / (p - 1)
    delta = -np.sign(FLAT) * np.abs(FLAT) ** (q - 1)
    seen = fb.bridges.which_norm(FLAT, delta)
    assert seen.name == "lp"
    assert seen.p == pytest.approx(p, rel=1e-6)


def test_what_is_steepest_in_none():
    assert fb.bridges.which_norm(FLAT, RNG.normal(size=FLAT.shape)).name == "none"
    # Adam's first step is that of signs; AdaGrad's later ones are none
    assert fb.bridges.which_norm(FLAT[:1], -np.sign(FLAT[:1])).name == "linf"
    later = -FLAT / np.sqrt(np.cumsum(FLAT ** 2, axis=0))
    assert fb.bridges.which_norm(FLAT, later).name == "none"


def test_the_last_layer():
    X, y = np.array([[0.5, 1.5], [1.5, 0.5], [-2.0, -2.0]]), np.array([1, 1, 0])
    seen = fb.bridges.last_layer(X, y, fb.max_margin(X, y, "l2").w)
    assert seen.fractions["l2"] == pytest.approx(1, abs=1e-12)
    # what classes share does not count
    X3, y3 = RNG.normal(size=(6, 8)), np.array([0, 1, 2, 0, 1, 2])
    W = fb.max_margin(X3, y3, "l2").w
    assert fb.bridges.last_layer(X3, y3, W + 5.0).fractions["l2"] == pytest.approx(1, abs=1e-9)


def test_bad_arguments():
    with pytest.raises(ValueError, match="updates must have the shape"):
        fb.bridges.which_norm(FLAT, FLAT[:2])
    with pytest.raises(ValueError, match="updates must hold one that is not 0"):
        fb.bridges.which_norm(FLAT, 0 * FLAT)
