"""Every method obeys the laws, and the laws see what is broken."""
import dataclasses

import numpy as np
import pytest

import fastbias as fb
from tests.helpers.pieces import ascent

m, N, S, P = fb.methods, fb.norms, fb.steps, fb.potentials
METHODS = [m.gradient_descent(0.1), m.gradient_descent(0.1, 0.9, 0.9), m.gradient_descent(0.1, batch=2, rng=0),
           m.gradient_descent(0.1, weight_decay=0.1), m.mirror_descent("entropy", 0.1), m.natural_gradient("entropy", 0.1),
           m.mirror_descent("cosh", 0.1, primal_momentum=0.5), m.mirror_descent("entropy", 0.1, constraint=([[1] * 5], [1])),
           m.mirror_descent(P.spectral_entropy(3), 0.1), m.natural_gradient(P.power(3), 0.1),
           m.steepest_descent(N.lp(3), 0.1), m.steepest_descent("linf", 0.1, normalised=True),
           m.steepest_descent(N.spectral(2, 3), 0.1), m.coordinate_descent(0.1),
           m.coordinate_descent(0.1, "average", 0.3, 0.5), m.stagewise(0.1), m.adagrad(0.1), m.adam(0.1), m.rmsprop(0.1),
           m.sign_descent(0.1), m.muon(0.1), m.dual_acceleration(), m.gradient_descent(S.line_search())]


def test_every_method_obeys_the_laws():
    assert {method.name for method in METHODS} == set(m.__all__) - {"Method"}
    for method in METHODS:
        assert fb.laws.check(method, trials=5)


@fb.piece(fb.abi.DIRECTION)
def writes_nan(geometry, params, k, s, g, u, state, move):
    move[0] = np.nan
    return 0


@pytest.mark.parametrize(("method", "law"), [
    (dataclasses.replace(m.gradient_descent(0.1), direction=ascent), "descends"),
    (dataclasses.replace(m.gradient_descent(0.1), direction=writes_nan), "finite|status 0"),
    (dataclasses.replace(m.sign_descent(0.1), family="gradient"), "is −∇L"),
    (dataclasses.replace(m.steepest_descent("l2", 0.1), unscaled=True), "length"),
    (dataclasses.replace(m.sign_descent(0.1), geometry=N.l1), "length|⟨−∇L, Δ⟩"),
    (dataclasses.replace(m.gradient_descent(0.1), family="natural", geometry=P.cosh), "natural"),
    (dataclasses.replace(m.gradient_descent(0.1), family="mirror", geometry=P.cosh), "∇ψ"),
], ids=lambda v: str(v)[:30])
def test_the_laws_see_what_a_method_breaks(method, law):
    with pytest.raises(fb.laws.LawBroken, match=law):
        fb.laws.check(method)
