"""Methods kept in a set, wherever runs go: files, sweeps, sparse data, Gram space, and runs that leave float64."""
import numpy as np
import pytest
import scipy.sparse

import fastbias as fb

m = fb.methods
RNG = np.random.default_rng(0)
X = np.where(RNG.random((6, 5)) < 0.4, 0.0, RNG.normal(size=(6, 5)))
y = np.sign(X @ RNG.normal(size=5) + 1e-9)
SETS = {"box": ((-0.1, 0.2), 1.0), "orthant": ("orthant", 1.0), "simplex": ("simplex", 0.7), "ball": ("ball", 0.3)}
BASES = {"heavy ball": lambda eta: m.gradient_descent(eta, 0.5, 0.3), "batches": lambda eta: m.gradient_descent(eta, batch=2, rng=3),
         "decay": lambda eta: m.signum(eta, weight_decay=0.1), "adam": m.adam, "coordinates": m.coordinate_descent,
         "natural": lambda eta: m.natural_gradient("euclidean", eta)}


def plan(name, base, eta=0.05, X=X, **extra):
    onto, size = SETS[name]
    return fb.Plan(X, y, loss="exponential", method=m.projected(BASES[base](eta), onto, size), **extra)


def inside(name, w):
    """How far outside a point is."""
    if name == "box":
        return max((w - 0.2).max(), (-0.1 - w).max())
    if name == "ball":
        return np.linalg.norm(w) - 0.3
    return max(-w.min(), abs(w.sum() - 0.7) if name == "simplex" else 0.0)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", SETS)
def test_going_on_from_a_file_is_one_run_and_each_point_is_within(name, base, tmp_path):
    whole, part = plan(name, base), plan(name, base)
    trace = whole.run(57, record=57)
    assert max(inside(name, w) for w in trace.w[1:]) <= 1e-15
    part.run(20)
    part.save(tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz")
    assert back.run(37).u[-1].tobytes() == whole.u.tobytes()
    assert back.problem.method.within == whole.problem.method.within


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", SETS)
def test_sweeps_and_sparse_data_are_the_same_runs(name, base):
    etas = [0.01, 0.05, 0.2]
    swept = fb.sweep([plan(name, base, eta) for eta in etas], steps=70)
    assert not swept.failures
    for eta, trace in zip(etas, swept, strict=True):
        alone, sparse = (plan(name, base, eta, data).run(70).w[-1] for data in (X, scipy.sparse.csr_matrix(X)))
        assert trace.w[-1] == pytest.approx(alone, rel=1e-12, abs=1e-15)
        # (of moves by signs a sum in another order may turn a tie)
        assert sparse == pytest.approx(alone, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", SETS)
def test_what_else_is_asked_of_them_is_refused_by_name(name):
    p = plan(name, "heavy ball")
    with pytest.raises(ValueError, match="gram must be None or False for projected.*projection leaves the span"):
        plan(name, "heavy ball", gram=True)
    with pytest.raises(ValueError, match="without noise, projections"):
        p.flow(1.0)
    with pytest.raises(fb.NoTheorem, match="projected on a set"):
        p.fast_forward(30.0)
    onto, size = SETS[name]
    root = fb.Plan(X, y, loss="squared", method=m.projected(m.gradient_descent(0.01), onto, size))
    with pytest.raises(fb.NoTheorem, match="projected on no set"):
        root.fast_forward(30.0)


def test_wide_data_that_would_go_through_gram_space_do_not():
    wide = np.random.default_rng(1).normal(size=(4, 300))
    labels = np.sign(wide[:, 0])
    # (a Gram run knows nothing of the set: its w is another)
    w = fb.Plan(wide, labels, loss="exponential", method=m.projected(m.gradient_descent(0.01), "orthant")).run(50).w[-1]
    free = fb.Plan(wide, labels, loss="exponential", method=m.gradient_descent(0.01)).run(50).w[-1]
    assert w.min() == 0.0
    assert free.min() < -0.01


@pytest.mark.parametrize(("onto", "ends"), [((-np.inf, np.inf), True), ("ball", False), ("simplex", False), ((-1.0, 1.0), False)])
def test_steps_that_are_too_long_end_as_those_of_others_and_within_a_bounded_set_not_at_all(onto, ends):
    method = m.gradient_descent(50.0)
    free = fb.Plan(X, y, loss="squared", method=method).run(3000, strict=False)
    kept = fb.Plan(X, y, loss="squared", method=m.projected(method, onto)).run(3000, strict=False)
    assert free.status == fb.Status.NOT_FINITE
    assert (kept.status == free.status) is ends
    assert np.isfinite(kept.u).all()
    if ends:
        assert kept.t[-1] == free.t[-1]
        with pytest.raises(fb.RunStopped, match="ceased to be finite"):
            fb.Plan(X, y, loss="squared", method=m.projected(method, onto)).run(3000)
