"""Pictures draw the numbers of the results, on the Axes that they are given, with named axes."""
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import LogNorm

import fastbias as fb
from fastbias.plots import base
from tests.helpers import JIT

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

X, Y = [[1.0, 0.2], [0.4, 1.5], [-1.0, -1.0], [-2.0, 0.3]], [1, 1, -1, -1]
STEPS = 3000 if JIT else 60


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def separable():
    plan = fb.Plan(X, Y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    return plan.run(STEPS), plan.limit()


@pytest.fixture(scope="module")
def equations():
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.mirror_descent("entropy", 0.05))
    return plan.run(100), plan.limit()


def labelled(ax, start):
    return next(line for line in ax.lines if str(line.get_label()).startswith(start))


def drawn(ax, start="the run"):
    return np.array(labelled(ax, start).get_data())


def test_margin_is_drawn_with_the_maximum(separable):
    trace, limit = separable
    ax = trace.plot("margin", limit=limit)
    x, y = drawn(ax)
    assert (x == trace.t[1:]).all()
    assert (y == trace.margin("l2")[1:]).all()
    assert (drawn(ax, "maximum")[1] == limit.margin).all()
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "steps t", "margin in l2")
    assert "certified" in ax.get_legend().get_texts()[1].get_text()
    # in another norm the limit's margin says nothing
    other = fb.plots.margin(trace, limit, norm="l1")
    assert len(other.lines) == 1
    assert (drawn(other)[1] == trace.margin("l1")[1:]).all()


@pytest.mark.parametrize(("what", "quantity"), [("gap", "direction"), ("angle", "angle"), ("margin gap", "margin gap"),
                                                ("1 - cos", "1 - cos"), ("norm", "norm")])
def test_series_are_drawn_with_their_slopes(separable, what, quantity):
    trace, limit = separable
    one = next(s for s in trace.rates(limit) if s.quantity == quantity)
    ax = trace.plot(what, limit)
    x, y = drawn(ax)
    use = (trace.t > 0) & (one.values > 0)
    assert np.array_equal(x, trace.t[use])
    assert np.array_equal(y, one.values[use])
    for label, slope in (("fitted", one.fitted), ("theory", one.predicted)):
        if np.isfinite(slope):
            s, line = drawn(ax, label)
            clock = np.log(s) if one.clock == "log t" else s
            assert np.allclose(np.diff(np.log(line)) / np.diff(np.log(clock)), slope, rtol=1e-6)
    # the fitted line is the least-squares one, not only as steep
    late = trace.t >= max(trace.t[-1] / 100, 2)
    clock = np.log(trace.log_t[late]) if one.clock == "log t" else trace.log_t[late]
    coefficients = np.polyfit(clock, np.log(one.values[late]), 1)
    s, line = drawn(ax, "fitted")
    assert np.allclose(np.log(line), np.polyval(coefficients, clock), atol=1e-9)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    alone = trace.plot(what, limit, slopes=False)
    assert [line.get_label() for line in alone.lines] == ["the run"]
    assert np.array_equal(drawn(alone), [x, y])


def test_loss_is_drawn_in_decades_with_what_theory_says(separable):
    trace, limit = separable
    ax = trace.plot()
    assert np.array_equal(drawn(ax), [trace.t[1:], trace.log_loss[1:] / np.log(10)])
    assert len(ax.lines) == 1
    level = next(s for s in trace.rates(limit) if s.quantity == "log t L").level
    x, y = drawn(trace.plot("loss", limit), "theory")
    assert np.allclose(y, (level - np.log(x)) / np.log(10))
    assert trace.plot(ax) is ax                            # as it was called before there was more
    assert trace.plot(ax=ax, color="k") is ax
    assert ax.lines[-1].get_color() == "k"
    assert drawn(trace.plot("log t L", limit)).shape[0] == 2


def test_far_out_the_clock_is_log_t():
    plan = fb.Plan(X, Y, loss="exponential", method=fb.methods.gradient_descent(0.1))
    w = np.outer(np.geomspace(1, 1e6, 30), plan.limit().w) + [0.3, -0.3]
    far = fb.Trace(np.full(30, -1), w, w, -np.geomspace(1, 1e6, 30), problem=plan.problem, log_times=np.geomspace(1, 1e6, 30))
    ax = far.plot("gap", plan.limit())
    assert ax.get_xlabel() == "log t"
    assert np.array_equal(drawn(ax)[0], far.log_t)
    assert drawn(far.plot("loss", plan.limit()), "theory").shape[1] > 2
    assert far.plot("margin").get_xlabel() == "log t"


def test_data_and_what_parts_them():
    limits = {norm: fb.max_margin(X, Y, norm, intercept=True) for norm in ("l1", "l2")}
    ax = fb.plots.data(X, Y, limits)
    for k, label in enumerate((-1, 1)):
        assert np.array_equal(np.array(ax.lines[k].get_data()).T, [x for x, y in zip(X, Y, strict=True) if y == label])
    for norm, limit in limits.items():
        line = labelled(ax, norm)
        for point in (line.get_xy1(), line.get_xy2()):
            assert abs(np.dot(limit.w, point) + limit.intercept) < 1e-12
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"label -1", "label 1", "l1", "l2"}
    arrow = fb.plots.data(X, Y, [1.0, 2.0, 0.5]).lines[-1]
    assert abs(np.dot([1, 2], arrow.get_xy1()) + 0.5) < 1e-12
    assert len(fb.plots.data(X, list("abca")).lines) == 3


@pytest.mark.parametrize("intercept", [False, True])
def test_support_vectors_are_ringed_and_lie_on_the_margin(intercept):
    limit = fb.max_margin(X, Y, intercept=intercept)
    ax = limit.plot(X, Y)
    rings = drawn(ax, f"{limit.support.size} support").T
    assert np.array_equal(rings, np.array(X)[limit.support])
    sides = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(sides) == 2
    found = sorted(float(np.dot(limit.w, line.get_xy1()) + limit.intercept) for line in sides)
    assert np.allclose(found, [-limit.margin, limit.margin])


def test_support_vectors_of_more_features_and_of_classes():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(12, 20))
    for labels in (np.where(many[:, 0] > 0, 1, -1), np.arange(12) % 3):
        limit = fb.max_margin(many, labels)
        ax = limit.plot(many, labels)
        heights = drawn(ax, "samples")[1]
        assert np.isclose(heights[0], limit.margin)
        assert (np.diff(heights) >= 0).all()
        assert np.allclose(drawn(ax, f"{np.unique(limit.support).size} support")[1], limit.margin)
    wide = limit.plot()
    assert len(wide.patches) == 25
    assert "35 entries left out" in wide.get_title()
    assert np.isin([bar.get_width() for bar in wide.patches], limit.w).all()
    assert wide.get_yticklabels()[0].get_text().startswith(("0: ", "1: "))


def test_trajectories_end_at_the_projection(equations):
    trace, limit = equations
    ax = trace.plot("trajectory", limit)
    path = next(line for line in ax.lines if len(line.get_xdata()) == len(trace))
    assert np.array_equal(np.array(path.get_data()).T, trace.w)
    assert np.array_equal(drawn(ax, "limit").ravel(), limit.w)
    solutions = labelled(ax, "solutions")
    for point in (solutions.get_xy1(), solutions.get_xy2()):
        assert np.isclose(np.dot([1, 2], point), 1)
    # a second run on the same Axes brings neither of them again
    again = fb.plots.trajectory(trace, limit, ax=ax, color="k", marker="s", label="again")
    assert sum(line.get_gid() == "limit" for line in again.lines) == 1
    assert sum(line.get_gid() == "solutions" for line in again.lines) == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("w0", "w1")
    # and one with another limit brings that
    other = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.05))
    fb.plots.trajectory(other.run(9), other.limit(), ax=ax)
    assert sum(line.get_gid() == "limit" for line in ax.lines) == 2


def test_directions_are_arrows_and_stopped_runs_crosses(separable):
    trace, limit = separable
    ax = trace.plot("trajectory", limit)
    x, y = drawn(ax, "limit direction")
    assert np.allclose(np.array([x[1], y[1]]) / np.hypot(x[1], y[1]), limit.w)
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(40.0))
    stopped = plan.run(1000, strict=False)
    ax = stopped.plot("trajectory")
    assert labelled(ax, "iterates: NOT_FINITE at t = ").get_marker() == "X"


def test_sweeps_are_heat_maps():
    plan = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01))
    grid = {"step_size": [0.0001, 0.0002, 40.0], "momentum": [0.0, 0.5]}
    sweep = fb.sweep(plan, grid, steps=300)
    assert sorted(sweep.failures) == [4, 5]
    ax = sweep.plot()
    shown = ax.collections[0].get_array()
    want = np.reshape([t.log_loss[-1] for t in sweep], sweep.shape)
    assert np.array_equal(shown.mask, np.reshape([i in sweep.failures for i in range(6)], (3, 2)))
    assert np.array_equal(shown.data[~shown.mask], want[~shown.mask])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("momentum", "step_size")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.0001", "0.0002", "40"]
    assert ax.get_title() == "grey: 2 of 6 runs without such a number"
    # L is 0, which is no failure
    done = fb.sweep(plan, grid | {"step_size": [0.001, 0.01, 40.0]}, steps=300).plot()
    assert done.get_title() == "grey: 2 of 6 runs without such a number; white: L is 0"
    assert done.collections[0].get_array().min() < done.collections[0].get_clim()[0]

    def last(trace, limit):
        return trace.w[-1, 0]
    one = fb.sweep(plan, {"step_size": [0.001, 0.01, 0.02], "momentum": [0.5]}, steps=30)
    ax = one.plot(last)
    assert np.array_equal(ax.lines[0].get_data(), [[0.001, 0.01, 0.02], [t.w[-1, 0] for t in one]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step_size", "last")
    assert one.plot("gap").get_ylabel() == "distance to the limit at the end"


def test_diagnoses_separations_and_paths_are_drawn():
    found = fb.diagnose(X, Y, [1, 0.2])
    ax = found.plot()
    assert [bar.get_width() for bar in ax.patches] == list(found.fractions.values())
    assert [label.get_text() for label in ax.get_yticklabels()] == list(found.fractions)
    data = [[1, 3], [2, 0], [3, -1], [3, 4], [3, 1], [4, 0], [5, 2], [6, 7], [10, 3], [11, 4]]
    told = fb.separation(data, [0] * 4 + [1] * 6, names=["dose", "age"])
    ax = told.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == list(told.coefficients)
    assert ax.lines[1].get_xdata()[0] == told.finite["age"]
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["+∞", "−∞"]
    path = fb.l1_path([[1.0, 2.0], [3.0, 1.0]], [1.0, 2.0], 5)
    ax = path.plot()
    assert all(np.array_equal(drawn(ax, f"x{j}"), [path.lambdas, path.w[:, j]]) for j in range(2))
    assert ax.xaxis_inverted()
    balls = fb.regularisation_path(X, Y, [1.0, 10.0])
    assert np.array_equal(drawn(balls.plot(), "x1")[1], balls.w[:, 1] / balls.radii)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda t, limit: t.plot("gap"), ValueError, "limit must be given for a picture of 'gap'"),
    (lambda t, limit: t.plot("nothing"), ValueError, "what must be"),
    (lambda t, limit: t.plot("finite gap", limit), ValueError, "quantity must be"),
    (lambda t, limit: t.plot(3), TypeError, "ax must be a matplotlib Axes, got 3"),
    (lambda t, limit: t.plot("gap", 3), TypeError, "limit must be a Limit, got 3"),
    (lambda t, limit: t.plot("trajectory", axes=(0, 2)), ValueError, "axes must be two different indices under 2"),
    (lambda t, limit: t.plot("trajectory", axes="01"), TypeError, "axes must be two indices of w"),
    (lambda t, limit: limit.plot(X), ValueError, "X and y must be given together"),
    (lambda t, limit: limit.plot(np.ones((4, 3)), Y), ValueError, "X must have the 2 features of the limit, got 3"),
    (lambda t, limit: fb.plots.data(np.ones((4, 3)), Y), ValueError, "X must have two features to be drawn"),
    (lambda t, limit: fb.plots.data(X, Y, [0, 0]), ValueError, "directions must have two entries"),
    (lambda t, limit: fb.plots.solutions(np.eye(3), [1, 1, 1]), ValueError, "X must be of rank d − 1"),
    (lambda t, limit: fb.plots.diagnosis(3), TypeError, "found must be a Diagnosis, got 3"),
    (lambda t, limit: fb.plots.sweep(3), TypeError, "result must be a Sweep, got 3"),
    (lambda t, limit: fb.Sweep([{}], (1,), [None], [None]).plot(), ValueError, "result must be a Sweep over a grid"),
    (lambda t, limit: fb.Trace(t.t[:0], t.u[:0], t.w[:0], t.log_loss[:0]).plot(), ValueError, "trace must have a row"),
])
def test_bad_input(separable, call, error, message):
    with pytest.raises(error, match=message):
        call(*separable)


def test_clocks_and_powers_are_named():
    assert [base.power(*p) for p in ((-1.0, "t"), (-1.0, "log t"), (-2.0, "log t"), (-0.5, "t"))] == [
        "$1/t$", r"$1/\log t$", r"$(\log t)^{-2}$", "$t^{-0.5}$"]


def test_colours_can_be_told_apart():
    """By lightness alone some must differ; by hue, for who sees no red or no green, all (Okabe & Ito)."""
    assert len({base.BLUE, base.YELLOW, *base.COLOURS}) == len(base.COLOURS) + 2
    assert len(set(base.MARKERS)) == len(base.MARKERS) == len(base.COLOURS)


def test_heavy_libraries_are_not_there_until_they_are_needed():
    code = ("import sys, fastbias as fb; fb.plots.margin; "
            "print({'matplotlib', 'pandas', 'sklearn', 'cvxpy', 'xarray', 'flint', 'torch'}.isdisjoint(sys.modules)); "
            "import matplotlib; matplotlib.use('Agg'); "
            "fb.plots.data([[1, 2], [2, 1]], [1, -1]); print('matplotlib.pyplot' in sys.modules)")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "True"]


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("what", ["loss", "margin", "gap", "angle", "trajectory"])
def test_a_run_of_no_steps_is_drawn_as_far_as_it_goes(steps, what):
    plan = fb.Plan([[2.0, 1.0], [1.0, 3.0]], [1, 1], loss="exponential", method=fb.methods.gradient_descent(0.01))
    ax = plan.run(steps).plot(what, limit=plan.limit())
    ax.figure.canvas.draw()
    if what != "trajectory":
        assert ax.get_xscale() == ("log" if steps else "linear")


def test_lines_of_data_of_any_size_are_drawn():
    for size in (1e-150, 1.0, 1e150):
        X, y = size * np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, -0.5]]), np.array([1.0, 1.0, -1.0])
        ax = fb.plots.support(fb.max_margin(X, y, intercept=True), X, y)
        ax.figure.canvas.draw()


def test_heat_maps_of_positive_numbers_over_decades_have_logarithmic_colours():
    plan = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01))
    sweep = fb.sweep(plan, {"step_size": [0.0001, 0.001, 0.01], "momentum": [0.0, 0.1]}, steps=100)

    def size(trace, limit):
        """How far it is from (0.6, 0.8).

        A sentence more.
        """
        return float(np.linalg.norm(trace.w[-1] - [0.6, 0.8])) + 1e-9
    ax = sweep.plot(size)
    mesh = ax.collections[0]
    values = mesh.get_array()
    assert values.max() > 100 * values.min() > 0
    assert isinstance(mesh.norm, LogNorm)
    assert mesh.colorbar.ax.get_ylabel() == "How far it is from (0.6, 0.8), colours logarithmic"
    near = sweep.plot(lambda trace, limit: 1.0 + size(trace, limit))
    assert not isinstance(near.collections[0].norm, LogNorm)
    assert near.collections[0].colorbar.ax.get_ylabel() == "value"
    named = sweep.plot(lambda trace, limit: -size(trace, limit), label="minus that")
    assert not isinstance(named.collections[0].norm, LogNorm)
    assert named.collections[0].colorbar.ax.get_ylabel() == "minus that"
    assert sweep.plot().collections[0].colorbar.ax.get_ylabel() == "log L at the end"
    with pytest.raises(TypeError, match="label must be a text, got 3"):
        sweep.plot(label=3)


def test_separations_say_their_kind_in_words_and_what_whiskers_are():
    quasi = fb.separation([[1, 5], [2, 3], [3, 4], [3, 1], [4, 2], [3, 9], [3, 8]], [0, 0, 0, 1, 1, 0, 1]).plot()
    assert quasi.get_title() == "quasi-complete separation"
    assert quasi.get_xlabel() == "coefficient; whiskers: two standard errors either way"
    complete = fb.separation([[1], [2]], [0, 1]).plot()
    assert complete.get_title() == "complete separation"
    assert complete.get_xlabel() == "coefficient"


@pytest.mark.parametrize("what", ["loss", "trajectory"])
@pytest.mark.parametrize("style", [{"linewidth": 3.0, "c": "red"}, {"lw": 3.0, "color": "red"}])
def test_styles_have_any_of_their_names(what, style):
    trace = fb.run([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01), steps=3)
    drawn = [line for line in trace.plot(what, **style).lines if line.get_linewidth() == 3.0]
    assert [line.get_color() for line in drawn] == ["red"]
