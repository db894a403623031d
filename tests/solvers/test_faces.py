"""The exact finish on the faces of balls: solutions spoilt a little come back to rounding, proximal maps have their slope."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.faces import finished

N = fb.norms
NORMS = [N.spectral(3, 5), N.spectral(5, 3), N.spectral(4, 4), N.nuclear(4, 3), N.group([[0, 3], [1], [2, 4, 5]]), N.fourier(7)]


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_proximal_maps_by_their_optimality_and_by_differences(norm):
    """v is argmin ½‖v − x‖² + t‖v‖ where g = (x − v)/t is a subgradient: ‖g‖⋆ ≤ 1, ⟨g, v⟩ = ‖v‖."""
    x = np.random.default_rng(3).normal(size=norm.size)
    for t in (0.01, 0.5, 2.0, 50.0):
        v, slope = norm.shrink(x, t)
        g, rounding = (x - v) / t, 64 * np.finfo(float).eps * (1 + norm(x) / t)
        assert norm.dual(g) <= 1 + rounding
        assert g @ v == pytest.approx(norm(v), abs=rounding * norm(x))
        # at a random x the map is smooth
        differences = np.array([norm.shrink(x + e, t)[0] - norm.shrink(x - e, t)[0] for e in 1e-6 * np.eye(norm.size)]) / 2e-6
        assert slope(np.eye(norm.size)) == pytest.approx(differences, abs=1e-7)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_a_face_found_nearly_is_found_to_rounding(norm):
    """Newton's method from a solution spoilt by 1e-5 comes back to it, whatever multipliers repeat."""
    rng = np.random.default_rng(8)
    S = rng.normal(size=(4, norm.size))
    b = S @ rng.normal(size=norm.size)
    exact = fb.minimum_norm(S, b, norm)
    assert exact.certified
    S, b, nu = np.vstack([S, S[:1]]), np.append(b, b[0]), np.append(exact.dual, 0.0)
    w = exact.w.ravel() + 1e-5 * rng.normal(size=norm.size)
    *_, (w, nu) = finished(S, b, norm.shrink, w, nu)
    assert S @ w == pytest.approx(b, rel=1e-13)
    assert norm(w) == pytest.approx(norm(exact.w.ravel()), rel=1e-12)
    assert norm.dual(nu @ S) == pytest.approx(1, abs=1e-11)
    assert nu @ b == pytest.approx(norm(w), rel=1e-11)


def test_a_face_of_too_many_equations_is_left_alone():
    X = np.random.default_rng(9).normal(size=(5, 2))
    norm = N.group([[0, 1]])
    assert not list(finished(X, np.ones(5), norm.shrink, np.ones(2), np.ones(5)))       # 5 rows, 2 unknowns
    assert not list(finished(X[:1], np.zeros(1), norm.shrink, np.zeros(2), np.ones(1)))  # no direction
