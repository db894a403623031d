"""Every piece that the library ships obeys the laws, and the laws see what is broken."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from fastbias.engine.call import call
from fastbias.pieces.laws.base import _length
from tests.helpers import JIT, naive

EVERY = [x for module in (fb.norms, fb.potentials, fb.losses, fb.models, fb.steps, fb.methods) for x in module.EXAMPLES]


@pytest.mark.parametrize("piece", EVERY, ids=repr)
def test_every_piece_obeys_the_laws(piece):
    laws = fb.laws.check(piece, trials=30 if JIT else 6)
    assert laws
    assert all(law.worst <= law.tolerance for law in laws)
    if _length(piece) is None and not isinstance(piece, fb.methods.Method):
        fb.laws.check(piece, size=1, trials=5)
        fb.laws.check(piece, size=12, trials=5, rng=np.random.default_rng(3))


@given(st.floats(1, 100), st.integers(0, 1000))
def test_lp_norms_of_any_p(p, seed):
    fb.laws.check(fb.norms.lp(p), trials=3, rng=seed)


@pytest.mark.parametrize("module", [fb.norms, fb.potentials, fb.losses, fb.models, fb.steps, fb.methods])
def test_every_public_piece_is_listed(module):
    """A new piece cannot be forgotten: each public instance, and what each public factory makes, is in EXAMPLES."""
    names = [e.name for e in module.EXAMPLES] + ["chosen"]               # a rule with what it rests on is the same rule
    kind = type(module.EXAMPLES[0])
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, kind):
            assert thing in module.EXAMPLES, name
        elif thing is not kind and callable(thing) and name != "line_search":     # a search is no rule of k, s, L
            assert any(n.startswith(name[:1] if name == "lp" else name) for n in names), name


def broken(piece, **changes):
    return dataclasses.replace(piece, **changes)


@fb.piece(fb.abi.MAP)
def double(params, x, out):
    for i in range(x.size):
        out[i] = 2 * x[i]
    return 0


@fb.piece(fb.abi.MAP)
def spoils(params, x, out):
    for i in range(x.size):
        out[i] = x[i]
        x[i] = 0
    return 0


@fb.piece(fb.abi.MAP)
def refuses(params, x, out):
    for i in range(x.size):
        out[i] = x[i]
    return 1


@fb.piece(fb.abi.VALUE)
def constant(params, x):
    return 1.0


@fb.piece(fb.abi.MAP)
def log_anywhere(params, w, out):
    for i in range(w.size):
        out[i] = np.log(max(w[i], 1e-300))
    return 0


@fb.piece(fb.abi.SLOPE)
def half_slope(params, p, y, q):
    for i in range(p.size):
        q[i] = y[i] - p[i]
    return 0.0


@fb.piece(fb.abi.RULE)
def forgets_scale(params, k, s, log_loss):
    return params[0]


@fb.piece(fb.abi.MAP_AT)
def first_entry_twice(params, u, v, out):
    d = v.size
    for j in range(d):
        out[j], out[d + j] = u[d + j] * v[j], u[j] * v[j]
    out[0] *= 2
    return 0


N, P, L, M = fb.norms, fb.potentials, fb.losses, fb.models


@pytest.mark.parametrize(("piece", "law"), [
    (broken(N.l2, steepest=double), "eq. 12"),
    (broken(N.l2, steepest=spoils), "breaks the law"),
    (broken(N.l2, steepest=refuses), "status 0"),
    (broken(N.l2, norm=constant), "breaks the law"),
    (broken(N.l2, dual_norm=N.l1.dual_norm), "eq. 12"),
    (broken(N.l1, matrix=np.eye), "matrix"),
    (broken(N.fourier(5), shrink=N.group([[0, 1, 2, 3, 4]]).shrink), "shrink"),
    (broken(N.l2, shrink=lambda x, t: (x * max(0, 1 - t / np.linalg.norm(x)), lambda rows: rows)), "slope"),
    (broken(P.entropy, inverse_link=P.euclidean.inverse_link), "inside its domain"),
    (broken(P.entropy, link=log_anywhere), "OUT_OF_DOMAIN"),
    (broken(P.entropy, metric=P.euclidean.metric), "breaks the law"),
    (broken(P.entropy, quadratic=True), "linear"),
    (broken(P.euclidean, value=constant), "breaks the law"),
    (broken(L.squared, slope=half_slope), "∂L/∂p"),
    (broken(L.squared, kind="monotone"), "falls as the margin grows"),
    (broken(fb.models.linear, pullback=P.entropy.metric), "F'"),
    (broken(fb.models.linear, forward=double, pullback=P.euclidean.metric, linear=False), "F'"),
    (broken(M.diagonal(2), pullback=first_entry_twice), "F'"),
    (broken(M.convolutional(2), pullback=M.diagonal(2).pullback), "F'"),
    (broken(M.factorised(3, 3), pullback=M.symmetric(3).pullback), "F'"),
    (broken(M.diagonal(3), degree=2), "degree"),
    (broken(M.relu([-1.0, 0.5], 3), degree=2), "degree"),
    (broken(M.diagonal(2), layers=lambda d: [(d,)]), "layers are all of u"),
    (broken(M.diagonal(2), penalty=lambda w: 5.0 * np.abs(w).sum(), balance=None), "R.F.u.. ≤"),
    (broken(M.diagonal(2), penalty=lambda w: 2.5 * np.abs(w).sum()), "R.F.u.. ≤|is R.w."),
    (broken(M.diagonal(2), penalty=lambda w: 1.5 * np.abs(w).sum()), "is R.w."),
    (broken(M.deep_linear(3), penalty=lambda w: 3 * np.linalg.norm(w)), "R.F.u.. ≤|is R.w."),
    (broken(M.diagonal(2), balance=lambda w: np.concatenate([w, np.ones(w.size)])), "is R.w."),
    (broken(M.factorised(2, 2), balance=M.symmetric(2).balance), "balanced u of w|inside its domain"),
    (broken(M.convolutional(3), balance=lambda w: 1.01 * M.convolutional(3).balance(w)), "balanced u of w"),
    (broken(M.diagonal(2), invariant=lambda layers: layers[0] ** 2 + layers[1] ** 2), "keeps the invariant"),
    (broken(M.factorised(3, 2), invariant=lambda layers: layers[0].T @ layers[0] - 1.01 * layers[1].T @ layers[1]),
     "keeps the invariant"),
    (broken(M.convolutional(2), invariant=lambda layers: layers[0] ** 2 - layers[1] ** 2), "keeps the invariant"),
    (broken(M.diagonal(3, signed=True), invariant=lambda layers: layers[0] * layers[1]), "keeps the invariant"),
    (broken(M.diagonal(2), bias=lambda shape: N.l2), "power of the norm"),
    (broken(fb.steps.constant(0.1), rule=forgets_scale), "multiplied in"),
    (broken(fb.steps.power(0.1, 1.0), constant=True), "constant"),
    (broken(fb.steps.loss_scaled(0.1), loss=False), "unless loss"),
    (fb.steps.StepRule("far", fb.steps.constant(1).rule, np.array([0.1]), radius=True), "radius"),
    (fb.steps.StepRule("zero", fb.steps.constant(1).rule, np.zeros(1)), "> 0"),
], ids=str)
def test_the_laws_see_what_is_broken(piece, law):
    with pytest.raises(fb.laws.LawBroken, match=law):
        fb.laws.check(piece)


def test_laws_are_for_pieces():
    with pytest.raises(TypeError, match="must be a Norm"):
        fb.laws.check(3)
    with pytest.raises(ValueError, match="trials"):
        fb.laws.check(N.l2, trials=0)


def test_norms_take_rows_and_check_lengths():
    assert N.l1([[1, -2], [3, 4]]).tolist() == [3, 7]
    assert N.lp(3)([0, 0]) == 0
    assert N.lp(1.5)([1e-200, 1e-200]) == pytest.approx(1e-200 * 2 ** (2 / 3), rel=1e-14)
    assert N.lp(3).dual([1e200, 1e200]) == pytest.approx(1e200 * 2 ** (2 / 3), rel=1e-14)
    with pytest.raises(ValueError, match="2 entries"):
        N.quadratic([1, 2])([1, 2, 3])
    with pytest.raises(ValueError, match="length 2"):
        N.quadratic([1, 2]).direction([1, 2, 3])
    with pytest.raises(ValueError, match="d must be a whole number"):
        N.fourier(0)
    assert [N.lp(1), N.lp(2), N.lp(np.inf)] == [N.l1, N.l2, N.linf]


def test_convex_faces_are_the_same_norms_and_potentials():
    import cvxpy as cp
    rng = np.random.default_rng(0)
    for norm in N.EXAMPLES:
        w = rng.normal(size=norm.size or 4)
        assert norm.convex(cp, cp.Constant(w)).value == pytest.approx(norm(w), rel=1e-9)
    for psi in P.EXAMPLES:
        if psi.convex is None:                                 # hyperbolic entropy has no disciplined form
            continue
        w = rng.uniform(0.1, 2, size=psi.size or 4)
        if psi.symmetric:
            w = psi.to_primal(w)
        assert psi.convex(cp, cp.Constant(w)).value == pytest.approx(psi(w), rel=1e-9)


def test_ties_go_to_the_first_within_the_stated_tolerance():
    assert N.l1.direction([1, -3, 3]).tolist() == [0, -3, 0]
    assert N.l1.direction([1, 3 * (1 - 1e-13), 3]).tolist() == [0, 3 * (1 - 1e-13), 0]
    assert N.l1.direction([1, 3 * (1 - 1e-11), 3]).tolist() == [0, 0, 3]


@pytest.mark.parametrize("p", [1.01, 1.5, 1.99])
def test_the_metric_of_squared_lp_at_0_is_the_least_of_those_around(p):
    """There ψ has no Hessian: along w = t e_i its inverse is the same for every t, and takes each other e_j to 0."""
    psi, d = P.squared_lp(p), 4
    around = [np.diag(naive.squared_lp_inverse_hessian(p)(t * e)) for e in np.eye(d) for t in (1.0, 0.1)]
    out = np.full(d, np.nan)
    assert call(psi.metric, psi.params, np.zeros(d), np.array([1.0, -2.0, 1e300, 0.0]), out) == 0
    assert out.tolist() == np.min(around, axis=0).tolist()


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_the_fourier_norm_is_that_of_numpy(d):
    norm, rng = N.fourier(d), np.random.default_rng(d)
    for w in rng.normal(size=(5, d)):
        sizes = np.abs(np.fft.fft(w))
        assert norm(w) == pytest.approx(sizes.sum(), rel=1e-13)
        assert norm.dual(w) == pytest.approx(sizes.max() / d, rel=1e-13)
        assert norm(np.roll(w, 2)) == pytest.approx(norm(w), rel=1e-13)
        moved = np.fft.fft(norm.direction(w))
        k = np.argmax(sizes[:d // 2 + 1])
        wanted = np.where(np.isin(np.arange(d), (k, (d - k) % d)), np.fft.fft(w) / (d if k == (d - k) % d else 2 * d), 0)
        assert moved == pytest.approx(wanted, abs=1e-14)


def test_tied_frequencies_go_to_the_first_and_move_in_pairs():
    j = np.arange(8)
    slow, fast = np.cos(2 * np.pi * j / 8), np.sin(2 * np.pi * 3 * j / 8)
    assert N.fourier(8).direction(slow + fast) == pytest.approx(slow / 16, abs=1e-15)
    assert N.fourier(8).direction(slow * (1 - 1e-13) + fast) == pytest.approx(slow / 16, abs=1e-14)
    assert N.fourier(8).direction(slow * (1 - 1e-11) + fast) == pytest.approx(fast / 16, abs=1e-15)
    out = np.zeros(8)
    call(N.fourier(8).steepest, N.fourier(8).params, np.full(8, np.nan), out)
    assert np.isnan(out).all()


def test_proximal_maps_are_minimisers():
    """½‖v − x‖² + t‖v‖ is strongly convex, so that v is at least as good as any other point."""
    rng = np.random.default_rng(0)
    for norm in (n for n in N.EXAMPLES if n.shrink):
        for t in (0.1, 1.0, 10.0):
            x = rng.normal(size=norm.size)
            v = norm.shrink(x, t)[0]
            value = ((v - x) ** 2).sum() / 2 + t * norm(v)
            for other in v + rng.normal(size=(20, norm.size)) * 10.0 ** rng.uniform(-6, 0, size=(20, 1)):
                assert ((other - x) ** 2).sum() / 2 + t * norm(other) >= value + ((other - v) ** 2).sum() / 2 - 1e-12


def test_a_law_that_sees_nan_is_broken():
    @fb.piece(fb.abi.SLOPE)
    def slope(params, p, y, q):
        for n in range(p.size):
            q[n] = y[n] if abs(p[n]) < 20 else np.nan
        return 0.0

    @fb.piece(fb.abi.LOG_LOSS)
    def log_loss(params, p, y):
        return np.log(p.size + 30.0 - (p * y).sum())

    loss = fb.losses.Loss(name="linear, but far out", kind="monotone", slope=slope, log_loss=log_loss, convex=True)
    with pytest.raises(fb.laws.LawBroken, match="convex where that is claimed: relative error inf"):
        fb.laws.check(loss)


# --- a potential without argmin -----------------------------------------------------------------------------------------

@fb.piece(fb.abi.MAP)
def burg_link(params, w, out):
    for i in range(w.size):
        if not w[i] > 0.0:
            return 2
        out[i] = -1.0 / w[i]
    return 0


@fb.piece(fb.abi.MAP)
def burg_inverse(params, z, out):
    for i in range(z.size):
        if not z[i] < 0.0:
            return 2
        out[i] = -1.0 / z[i]
    return 0


@fb.piece(fb.abi.MAP_AT)
def burg_metric(params, w, g, out):
    for i in range(w.size):
        if not w[i] > 0.0:
            return 2
        out[i] = w[i] * w[i] * g[i]
    return 0


@fb.piece(fb.abi.VALUE)
def burg_value(params, w):
    total = 0.0
    for i in range(w.size):
        total -= np.log(w[i]) if w[i] > 0.0 else -np.inf
    return total


BURG = P.Potential("burg", burg_link, burg_inverse, burg_metric, burg_value, lower=0.0, dual_domain=(-np.inf, 0.0))


def test_a_potential_says_its_dual_domain_and_that_it_has_no_argmin():
    """−Σ log w: ∇ψ = −1/w is negative, so that no point has the dual variable 0."""
    assert fb.laws.check(BURG)
    assert not BURG.has_argmin
    assert BURG.to_primal([-0.5, -2.0]).tolist() == [2.0, 0.5]
    for z in ([1.0, -1.0], [0.0, -1.0]):
        with pytest.raises(ValueError, match="z must lie inside the dual domain of the burg potential"):
            BURG.to_primal(z)
    with pytest.raises(ValueError, match="start must be given for the burg potential, which has no argmin"):
        BURG.start(2)
    A, b = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 1.0]]), np.array([2.0, 0.4])
    method = fb.methods.mirror_descent(BURG, 0.01)
    with pytest.raises(ValueError, match="start must be given"):
        fb.Plan(A, b, loss="squared", method=method)
    plan = fb.Plan(A, b, loss="squared", method=method, start=np.ones(3))
    limit, trace = plan.limit(), plan.run(20_000)
    assert limit.certified
    assert pytest.approx(b, abs=1e-12) == A @ limit.w
    assert -1.0 / limit.w + 1.0 == pytest.approx(A.T @ limit.dual, abs=1e-9)
    assert trace.w[-1] == pytest.approx(limit.w, abs=1e-6)


@pytest.mark.parametrize(("changes", "law"), [
    ({"dual_domain": (-np.inf, np.inf)}, "inside its domain|dual domain"), ({"dual_domain": (-np.inf, -1.0)}, "dual domain"),
    ({"inverse_link": P.entropy.inverse_link}, "breaks the law")], ids=str)
def test_a_dual_domain_is_held_to_account(changes, law):
    with pytest.raises(fb.laws.LawBroken, match=law):
        fb.laws.check(dataclasses.replace(BURG, **changes))
    with pytest.raises(ValueError, match="the lower one first"):
        dataclasses.replace(BURG, dual_domain=(1.0, 0.0))
