"""Means of the parameters beside a run: of all updates behind one, or fading; held against twins of torch.optim.swa_utils."""
import pickle

import numpy as np
import pytest

import fastbias as fb

m = fb.methods
X, y = fb.data.random_regression(5, 4, rng=1, positive=True)
A, b = np.array([[2.0, 1.0], [1.0, -0.5], [-1.0, -2.0]]), np.array([1.0, 1.0, -1.0])
ETA = 0.1 / np.linalg.norm(X, 2) ** 2


def twin(u, average, begin):
    """AveragedModel: its first update takes the parameters, later ones ū + (u − ū)/(n + 1), or βū + (1 − β)u."""
    rows, n = [u[0]], 0
    for t in range(1, len(u)):
        if n == 0 or t <= begin:
            rows.append(u[t])
        elif average == "mean":
            rows.append(rows[-1] + (u[t] - rows[-1]) / (n + 1))
        else:
            rows.append(average * rows[-1] + (1 - average) * u[t])
        n += t > begin
    return np.array(rows)


METHODS = [
    m.gradient_descent(ETA, average="mean"), m.gradient_descent(ETA, 0.5, 0.3, average=0.9), m.gradient_descent(ETA, average=0.5, average_from=13),
    m.gradient_descent(ETA, batch=2, rng=3, average="mean", average_from=20), m.mirror_descent("entropy", ETA, average="mean"),
    m.adam(1e-2, average=0.99), m.adagrad(0.1, average="mean"), m.coordinate_descent(ETA, average=0.7),
    m.steepest_descent("l2", 1e-2, normalised=True, momentum=0.9, average="mean"), m.rmsprop(1e-2, momentum=0.5, average=0.8),
    m.sharpness_aware(m.gradient_descent(ETA, average=0.9), 0.1), m.sharpness_aware(m.gradient_descent(ETA), 0.1, average="mean"),
    m.gradient_descent(ETA, average=0.9, precision=9), m.gradient_descent(ETA, average="mean", gradient_noise=0.1, clip=2.0, rng=4)]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_means_are_those_of_the_twin_and_change_no_run(method, tmp_path):
    fade, begin = method.average
    bare = fb.Plan(X, y, loss="squared", method=method._maker(**{k: v for k, v in method.recipe[1].items() if "average" not in k})) \
        if "average" in method.recipe[1] else None
    plan = fb.Plan(X, y, loss="squared", method=method)
    trace = plan.run(60, record=np.arange(61))
    found = twin(trace.u, fade or "mean", begin)
    assert np.abs(found - trace.averages).max() <= 1e-12 * np.abs(found).max()
    if bare is not None:                                                # (bursts go the same way to rounding)
        assert np.abs(bare.run(60, record=np.arange(61)).u - trace.u).max() < 1e-13
    parts = fb.Plan(X, y, loss="squared", method=method)
    first = parts.run(23)
    parts.save(tmp_path / "p.npz")
    again = fb.Plan.load(tmp_path / "p.npz")
    assert again.trace.averages.tobytes() == first.averages.tobytes()
    assert again.run(37).averages[-1].tobytes() == trace.averages[-1].tobytes()
    assert again.u.tobytes() == plan.u.tobytes()
    assert pickle.loads(pickle.dumps(method)).average == method.average
    assert "average=" in repr(method)
    assert method.exact == (method.sampling.bits == 0 and method.clip is None and method.point is None)


def test_rows_that_are_far_between_have_the_same_means():
    method = m.gradient_descent(ETA, average="mean")
    every = fb.run(X, y, loss="squared", method=method, steps=1000, record=np.arange(1001))
    few = fb.run(X, y, loss="squared", method=method, steps=1000, record=7)
    assert np.array_equal(few.averages, every.averages[few.t])
    assert few.averages[-1] == pytest.approx(every.u[1:].mean(axis=0), rel=1e-12)


def test_a_run_that_ends_between_rows_has_the_mean_of_its_end():
    method = m.gradient_descent(0.1, average=0.5)
    trace = fb.run(A, b, loss="exponential", method=method, steps=1000, record=2, until=-2.0)
    assert trace.status == fb.Status.REACHED
    every = fb.run(A, b, loss="exponential", method=method, steps=int(trace.t[-1]), record=np.arange(trace.t[-1] + 1))
    assert trace.averages[-1].tobytes() == every.averages[-1].tobytes()


def test_the_run_seen_at_its_means():
    method = m.gradient_descent(0.1, average="mean")
    plan = fb.Plan(A, b, loss="exponential", method=method)
    trace, limit = plan.run(20_000, record=20), plan.limit()
    seen = trace.averaged()
    assert seen.w.tobytes() == trace.averages.tobytes()
    assert seen.log_loss[-1] == pytest.approx(np.log(np.exp(-b * (A @ seen.w[-1])).sum()), rel=1e-12)
    assert seen.averages is None
    told = next(h for h in limit.hypotheses if "mean that is kept" in h.statement)
    assert told.holds is True
    # Toeplitz: the mean goes where the run goes, and is behind it
    assert trace.gap(limit)[-1] < seen.gap(limit)[-1] < 2 * trace.gap(limit)[-1]
    assert (np.diff(seen.gap(limit)[-5:]) < 0).all()


def test_of_models_it_is_open_whether_means_end_there():
    model = fb.models.diagonal(2, signed=True)
    limit = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(0.01, average="mean"), model=model, start=model.start(0.3)).limit()
    assert [h.holds for h in limit.hypotheses if "mean that is kept" in h.statement] == [None]
    flow = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(0.01, average="mean"), model=model, start=model.start(0.3)).limit(flow=True)
    assert not any("mean that is kept" in h.statement for h in flow.hypotheses)


def test_of_single_samples_the_mean_is_nearer_than_the_run():
    """Polyak & Ruppert: where no w serves all samples the run hovers, and its mean comes in between; no theorem of the table."""
    rng = np.random.default_rng(0)
    U = rng.normal(size=(40, 2))
    t = U @ [1.0, -2.0] + rng.normal(size=40)
    plan = fb.Plan(U, t, loss="squared", method=m.gradient_descent(0.01, batch=1, rng=1, average="mean", average_from=1000))
    trace = plan.run(30_000)
    best = np.linalg.lstsq(U, t, rcond=None)[0]
    assert trace.averaged().gap(best)[-1] < trace.gap(best)[-100:].mean() / 4
    with pytest.raises(fb.NoTheorem):
        plan.limit()


def test_sweeps_and_gram_space_keep_them_apart():
    method = m.gradient_descent(ETA, average=0.9)
    with pytest.raises(ValueError, match="gram must be"):
        fb.Plan(X, y, loss="squared", method=method, gram=True)
    plans = [fb.Plan(X, y, loss="squared", method=method, start=np.full(4, s)) for s in (0.0, 0.1, 0.2)]
    for plan, trace in zip(plans, fb.sweep(plans, steps=30).traces, strict=True):
        alone = fb.run(X, y, loss="squared", method=method, start=plan.problem.start, steps=30)
        assert alone.averages.tobytes() == trace.averages.tobytes()


def test_files_keep_them(tmp_path):
    trace = fb.run(X, y, loss="squared", method=METHODS[0], steps=10)
    trace.save(tmp_path / "t.npz")
    assert fb.Trace.load(tmp_path / "t.npz").averages.tobytes() == trace.averages.tobytes()


@pytest.mark.parametrize(("given", "words"), [
    ({"average": "median"}, "average must be"), ({"average": 1.0}, "under 1"), ({"average": 0.0}, "average must be"),
    ({"average": 0.5, "average_from": -1}, "average_from must be"), ({"average_from": 3}, "average_from must be 0 without average"),
    ({"average": True}, "average must be"), ({"average": [0.5]}, "average must be")])
def test_what_is_no_mean_is_refused(given, words):
    with pytest.raises((ValueError, TypeError), match=words):
        m.gradient_descent(0.1, **given)


def test_where_there_is_none_nothing_is_seen():
    for trace in (fb.run(X, y, loss="squared", method=m.gradient_descent(ETA), steps=3),
                  fb.run(X, y, loss="squared", method=METHODS[0], steps=3, record_w=False)):
        with pytest.raises(ValueError, match="keeps a mean"):
            trace.averaged()
    with pytest.raises(ValueError, match="no average for tasks"):
        fb.continual.run([([[2, 0]], [1]), ([[0, 1]], [1])], method=METHODS[0], steps=2)
