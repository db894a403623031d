"""Traces: saved, loaded, shown and drawn; margins, directions, gaps and rates of them; trajectories from anywhere."""
import numpy as np
import pytest

import fastbias as fb
from tests.helpers.problems import SOUDRY_X, SOUDRY_Y, XK, YK, X, classes, separable, y

m, N = fb.methods, fb.norms


def plan():
    data = fb.data.random_regression(3, 5, rng=0, positive=True)
    eta = 0.05 / np.linalg.norm(data.X, 2) ** 2
    return fb.Plan(*data, loss="squared", method=m.gradient_descent(eta, 0.5, 0.5))


def test_trace_is_saved_loaded_and_shown(tmp_path):
    trace = plan().run(20)
    trace.save(tmp_path / "run.npz")
    back = fb.Trace.load(tmp_path / "run.npz")
    for name in ("t", "u", "w", "log_loss"):
        assert (getattr(back, name) == getattr(trace, name)).all()
    assert back.status is fb.Status.OK
    assert back.message == trace.message
    (tmp_path / "junk.npz").write_bytes(b"junk")
    np.savez(tmp_path / "other.npz", a=1)
    for name in ("junk.npz", "other.npz"):
        with pytest.raises(ValueError, match="Trace.save wrote"):
            fb.Trace.load(tmp_path / name)
    assert "rows to t = 20" in str(trace)
    frame = trace.to_pandas()
    assert frame.index.name == "t"
    assert (frame["w3"].to_numpy() == trace.w[:, 3]).all()
    cube = trace.to_xarray()
    assert (cube["w"].values == trace.w).all()
    assert cube.attrs["status"] == "OK"


def test_trace_plots_and_measures_gaps():
    import matplotlib
    matplotlib.use("Agg")
    trace = plan().run(20)
    ax = trace.plot(color="k")
    assert ax.get_xlabel() == "steps t"
    assert trace.plot(ax=ax) is ax
    matplotlib.pyplot.close("all")
    goal = np.arange(5.0)
    assert trace.gap(goal) == pytest.approx(np.linalg.norm(trace.w - goal, axis=1))
    limit = plan().limit()
    direction = fb.Limit(limit.w * 7, "direction", "", "", (), True, 0.0, limit.dual)
    away = trace.w[1:] / np.linalg.norm(trace.w[1:], axis=1)[:, None] - limit.w / np.linalg.norm(limit.w)
    assert trace.gap(direction)[1:] == pytest.approx(np.linalg.norm(away, axis=1))
    assert np.isnan(trace.gap(direction)[0])
    with pytest.raises(ValueError, match="shape"):
        trace.gap([1, 2])


def test_trace_measures_margins_directions_and_increments(tmp_path):
    trace = fb.run(SOUDRY_X, SOUDRY_Y, loss="exponential", method=m.gradient_descent(0.05), steps=200)
    least = (SOUDRY_Y * (trace.w[1:] @ SOUDRY_X.T)).min(axis=1)
    assert trace.margin()[1:] == pytest.approx(least / np.linalg.norm(trace.w[1:], axis=1))
    assert trace.margin(N.l1)[1:] == pytest.approx(least / np.abs(trace.w[1:]).sum(axis=1))
    assert np.isnan(trace.margin()[0])
    assert np.linalg.norm(trace.direction()[1:], axis=1) == pytest.approx(1)
    assert np.abs(trace.direction(N.linf)[1:]).max(axis=1) == pytest.approx(1)
    first = np.flatnonzero(trace.t >= 2)[0]
    assert trace.increment() == pytest.approx((trace.w[-1] - trace.w[first]) / np.log(200 / trace.t[first]))
    with pytest.raises(ValueError, match="two rows"):
        fb.run(SOUDRY_X, SOUDRY_Y, loss="exponential", method=m.gradient_descent(0.05), steps=1).increment()
    trace.save(tmp_path / "t.npz")
    with pytest.raises(ValueError, match="must know its data"):
        fb.Trace.load(tmp_path / "t.npz").margin()


def test_trajectories_from_anywhere_are_measured_like_our_own():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=500)
    other = fb.Trace.from_arrays(X, y, trace.t, trace.w)
    assert other.log_loss == pytest.approx(trace.log_loss)
    assert other.margin(N.l1)[1:] == pytest.approx(trace.margin(N.l1)[1:])
    assert other.increment() == pytest.approx(trace.increment())
    limit = fb.max_margin(X, y)
    assert other.gap(limit)[1:] == pytest.approx(trace.gap(limit)[1:])
    assert {s.quantity for s in other.rates(limit)} >= {"direction", "margin gap", "log loss", "log t L"}
    many = fb.Trace.from_arrays(XK, YK, [0, 1.5], np.zeros((2, 3, 4)))
    assert many.log_loss == pytest.approx(np.log(20 * np.log(3)))
    assert many.t.dtype == float
    assert fb.Trace.from_arrays([[1, 2]], [3], [0], [[1, 1]]).log_loss == pytest.approx([-np.inf])
    for arguments, words in (((X, y, [0], np.zeros((1, 3))), r"rows of shape \(4,\)"),
                             ((X, y, [1, 0], np.zeros((2, 4))), "increasing"),
                             ((X, y, [0, 1], np.zeros((3, 4))), "t must be")):
        with pytest.raises(ValueError, match=words):
            fb.Trace.from_arrays(*arguments)


def test_other_data_are_seen_through_the_same_loss():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=50)
    A, b = separable(30, 4, 7)
    seen = trace.evaluate(A, b)
    for row, log_loss, error in zip(trace.w, *seen, strict=True):
        assert log_loss == pytest.approx(np.log(np.log1p(np.exp(-b * (A @ row))).sum()))
        assert error == pytest.approx(np.mean(b * (A @ row) <= 0))
    many = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=50)
    B, labels = classes(40, 4, 3, 5)
    assert many.evaluate(B, labels).error[-1] == pytest.approx(np.mean(np.argmax(B @ many.w[-1].T, 1) != labels))
    assert many.evaluate(B[:1], [1]).error.shape == (len(many),)               # one class alone is fine here
    root = fb.run([[1.0, 2]], [1.0], loss="squared", method=m.gradient_descent(0.05), steps=50)
    assert root.evaluate([[1, 1], [0, 1]], [1, 1]).error[-1] == pytest.approx(
        np.sqrt(np.mean((np.array([[1, 1], [0, 1]]) @ root.w[-1] - 1) ** 2)))
    with pytest.raises(ValueError, match="shape"):
        trace.evaluate(A[:, :3], b)
    with pytest.raises(ValueError, match="labels must be"):
        trace.evaluate(A, b * 2)


def test_rows_at_one_time_have_no_rate():
    t = 1e300 * (1 + np.arange(4) * 2.0**-52)                # whose logarithms are the same
    trace = fb.Trace.from_arrays([[1, 0], [0, 1]], [1, 1], t, [[1, 1], [2, 2], [3, 3], [4, 4]])
    with pytest.raises(ValueError, match="two rows within its last two decades"):
        trace.increment()
    limit = fb.max_margin([[1, 0], [0, 1]], [1, 1])
    assert all(np.isnan(series.fitted) for series in trace.rates(limit))
