"""Every method obeys the laws, and the laws see what is broken."""
import dataclasses

import numpy as np
import pytest

import fastbias as fb
from fastbias.pieces.methods.base import primal
from tests.helpers.pieces import ascent

m, N, S, P = fb.methods, fb.norms, fb.steps, fb.potentials
# (every example is held to them in test_laws)
METHODS = [m.mirror_descent("cosh", 0.1, primal_momentum=0.5), m.mirror_descent(P.spectral_entropy(3), 0.1),
           m.natural_gradient(P.power(3), 0.1), m.steepest_descent(N.spectral(2, 3), 0.1),
           m.mirror_descent("entropy", 0.1, constraint=([[1] * 5], [1])), m.gradient_descent(S.line_search())]


def test_methods_in_other_geometries_obey_the_laws():
    for method in METHODS:
        assert fb.laws.check(method, trials=5)


@fb.piece(fb.abi.DIRECTION)
def rotated(geometry, params, k, s, g, u, state, move):      # still downhill
    for i in range(g.size):
        move[i] = g[i] + 0.5 * g[i - 1]
    return 0


@fb.piece(fb.abi.MAP_AT)
def _metric(params, w, g, out):
    for i in range(w.size):
        out[i] = (1.0 + w[i] * w[i]) * g[i]
    return 0


@fb.piece(fb.abi.DIRECTION)
def writes_nan(geometry, params, k, s, g, u, state, move):
    move[0] = np.nan
    return 0


@pytest.mark.parametrize(("method", "law"), [
    (dataclasses.replace(m.gradient_descent(0.1), direction=ascent), "descends"),
    (dataclasses.replace(m.gradient_descent(0.1), direction=writes_nan), "finite|status 0"),
    (dataclasses.replace(m.sign_descent(0.1), geometry=None), "is −∇L"),
    (dataclasses.replace(m.steepest_descent("l2", 0.1), unscaled=True), "length"),
    (dataclasses.replace(m.sign_descent(0.1), geometry=N.l1), "length|⟨−∇L, Δ⟩"),
    (dataclasses.replace(m.gradient_descent(0.1), steepest=False, natural=True, geometry=P.cosh), "natural"),
    (dataclasses.replace(m.gradient_descent(0.1), steepest=False, dual=True, geometry=P.cosh), "∇ψ"),
    (dataclasses.replace(m.gradient_descent(0.1), dual=True, geometry=P.euclidean), "one kind"),
    (dataclasses.replace(m.mirror_descent("entropy", 0.1, constraint=([[1] * 5], [1])), constraint=([[1] * 5], [2])), "∇ψ"),
    (dataclasses.replace(m.muon(0.1), averages=""), "last gradient alone"),
    (dataclasses.replace(m.muon(0.1), geometry=N.l2, shaped=None, begin=m.muon(0.1).begin, params=np.array([1.5, 1, 1.5, 1, 1])), "fading"),
    (dataclasses.replace(m.dual_acceleration(), advance=primal), "average of all"),
    (dataclasses.replace(m.gradient_descent(0.1), steepest=False, adaptive=True, direction=rotated), "its own gradient"),
    (dataclasses.replace(m.steepest_descent("l2", 0.1, True, nesterov=2), params=np.array([0.9, 1, 3, 2, 1])), "fading"),
    (dataclasses.replace(m.signum(0.1, weight_decay=0.1), shrink=0.2), "decoupled"),
    (dataclasses.replace(m.steepest_descent("l2", 0.1, True, weight_decay=0.1), shrink=0.0), "length"),
    (dataclasses.replace(m.adam(0.1), moments=(0.9, 0.9, 1e-8)), "moments"),
    (dataclasses.replace(m.rmsprop(0.1), aged=True), "moments"),
    (dataclasses.replace(m.adagrad(0.1), measured=lambda state: state), "measures a norm"),
    (dataclasses.replace(m.coordinate_descent(0.1), ties=1.5), "ties"),
    (dataclasses.replace(m.coordinate_descent(0.1, "average", 0.3), ties=0.0), "⟨−∇L, Δ⟩"),
    (dataclasses.replace(m.natural_gradient(_metric, 0.1), direction=m.gradient_descent(0.1).direction), "metric's"),
], ids=lambda v: str(v)[:30])
def test_the_laws_see_what_a_method_breaks(method, law):
    with pytest.raises(fb.laws.LawBroken, match=law):
        fb.laws.check(method)
