"""Diagnostics of directions, regularisation paths, and how bad input for them is told."""
import contextlib
import re

import numpy as np
import pytest
from scipy.optimize import minimize

import fastbias as fb
from fastbias.engine.call import call
from fastbias.solvers import balls, maxima
from tests.helpers.marks import slow
from tests.helpers.problems import SIGNS, WIDE, XK, XM, YK, YM, X, Z, y

m, N = fb.methods, fb.norms
long = pytest.mark.long


# --- diagnostics ---------------------------------------------------------------------------------------------------------

@long
@pytest.mark.parametrize("p", [1, 1.5, np.inf, *slow(1.25, 2, 3)])
def test_diagnose_names_the_norm_of_each_steepest_descent(p):
    norm = N.lp(float(p))
    rule = fb.steps.loss_scaled(1 / norm.dual(X).max() ** 2)
    trace = fb.run(X, y, loss="exponential", method=m.steepest_descent(norm, rule), steps=400_000)
    found = fb.diagnose(X, y, trace.w[-1])
    assert found.best == norm.name
    assert found.fractions[norm.name] > 0.9998
    assert 1 / found.p == pytest.approx(1 / p, abs=0.03)
    assert max(found.gaps.values()) <= 1e-8
    assert norm.name in str(found)


def test_diagnose_takes_matrices_and_classes_and_refuses_what_it_cannot():
    limit = fb.max_margin(XK, YK, N.spectral(3, 4))
    found = fb.diagnose(XK, YK, limit.w)
    assert found.fractions["spectral"] == pytest.approx(1, abs=1e-7)
    assert set(found.fractions) >= {"l1", "l2", "linf", "spectral", "nuclear"}
    with pytest.raises(ValueError, match="must not be 0"):
        fb.diagnose(X, y, np.zeros(4))
    with pytest.raises(ValueError, match="linearly separable"):
        fb.diagnose([[1, 2], [1, 2]], [1, -1], [1, 1])
    with pytest.raises(ValueError, match="labels must be −1 or"):
        fb.diagnose([[1, 2], [1, 2]], [2, 2], [1, 1])
    assert max(fb.diagnose(X, y, -fb.max_margin(X, y).w).fractions.values()) < 0        # the wrong way round


# data on which ℓp maxima of most p are different directions
APART = np.array([[2.0, 1.0, 0.3, 0.5], [0.4, 2.0, 1.0, -0.2], [0.6, 0.1, 2.0, 1.0], [1.0, 0.7, -0.4, 2.0],
                  [-0.5, 1.0, 1.0, 1.0]])


@pytest.mark.parametrize("p", [1.1, 1.5, 3, 8, 20, 40])
def test_diagnose_finds_the_p_of_exact_directions(p):
    w = fb.max_margin(APART, [1, 1, 1, 1, 1], N.lp(p)).w
    told = fb.diagnose(APART, [1, 1, 1, 1, 1], w * 1e-200)
    low, high = told.p_range
    assert low * (1 - 1e-4) <= p <= high * (1 + 1e-4)                       # four support vectors decide from 1 to 1.488
    assert high / low < (2 if p == 1.1 else 1.01)
    assert told.fraction == pytest.approx(1, abs=1e-8)
    assert told.fraction <= 1
    assert told.near
    assert low <= told.p <= high
    for q, name in ((1, "l1"), (2, "l2"), (np.inf, "linf")):                # fractions against margins found one by one
        most = fb.max_margin(APART, [1, 1, 1, 1, 1], N.lp(float(q))).margin
        assert told.fractions[name] == pytest.approx((APART @ w).min() / np.linalg.norm(w, q) / most)


def test_diagnose_says_that_norms_are_tied():
    told = fb.diagnose([[2, 1], [1, 2]], [1, 1], [1, 1])                    # by symmetry it is the maximum in all of them
    assert told.ties == ("l1", "l1.25", "l1.5", "l2", "l3", "l5", "linf")
    assert told.best == "l1"
    assert told.p_range == (1, np.inf)
    assert "a tie: w does not tell l1, l1.25, l1.5, l2, l3, l5, linf apart" in str(told)
    assert "<- best" not in str(told)
    alone = fb.diagnose(APART, [1] * 5, fb.max_margin(APART, [1] * 5).w)
    assert alone.ties == ("l2",)
    assert "tie" not in str(alone)
    assert re.search(r"  l2 +1\.00000000 +█{24} +<- best", str(alone))


def test_diagnose_says_when_a_direction_is_at_no_maximum():
    w = fb.max_margin(APART, [1] * 5).w + [0.6, -0.3, 0.0, 0.0]
    told = fb.diagnose(APART, [1] * 5, w)
    assert 0 < max(told.fractions.values()) < 0.9
    assert not told.near
    assert "not at a maximum: no fraction is 0.99 or more; " in str(told)
    assert told.fractions[told.best] == max(told.fractions.values())
    assert told.fraction >= told.fractions[told.best]
    wrong = fb.diagnose(APART, [1] * 5, [-1, 0, 0, 0])
    assert not wrong.near
    assert wrong.fraction < 0
    assert "w does not separate the samples" in str(wrong)
    assert "<-" not in str(wrong)


def test_diagnose_says_the_angle_to_the_nearest_maximum():
    best = fb.max_margin(APART, [1] * 5).w
    across = np.linalg.qr(np.column_stack([best, np.eye(4)[0]]))[0][:, 1]
    told = fb.diagnose(APART, [1] * 5, 7 * (best * np.cos(0.2) + across * np.sin(0.2)))
    assert told.angles["l2"] == pytest.approx(np.degrees(0.2), rel=1e-9)
    for p in (1.5, 3):
        w = fb.max_margin(APART, [1] * 5, N.lp(p)).w
        assert fb.diagnose(APART, [1] * 5, w).angles[f"l{p:g}"] == pytest.approx(0, abs=1e-6)
    assert not told.near
    name = min(told.angles, key=told.angles.get)
    assert f"; {told.angles[name]:.3g}° from the {name} maximum-margin direction" in str(told)


OFFSET = APART * np.array([1, -1, 1, 1, -1])[:, None] + [3.0, 0, 0, 0]
HALVES = [1, 0, 1, 1, 0]


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_diagnose_counts_b_as_a_weight_on_ones(norm):
    """What a solver that penalises b ends at is the maximum of (w, b) as one vector, and of w alone it is none."""
    ones = np.column_stack([OFFSET, np.ones(5)])
    whole = fb.max_margin(ones, HALVES, norm).w
    told = fb.diagnose(OFFSET, HALVES, whole[:-1], intercept=whole[-1])
    assert told.counted[norm] == pytest.approx(1, abs=1e-9)
    assert max(told.counted.values()) <= 1 + 1e-9
    assert told.fractions[norm] < 0.99
    assert told.intercept == whole[-1]
    assert f"with b as a weight on a column of ones: l1 {told.counted['l1']:.8f}, l2 " in str(told)
    assert "by norm of w alone, over any b:" in str(told)
    free = fb.max_margin(OFFSET, HALVES, norm, intercept=True)
    other = fb.diagnose(OFFSET, HALVES, free.w, intercept=free.intercept)
    assert other.fractions[norm] == pytest.approx(1, abs=1e-8)
    assert other.counted[norm] < 0.99


def test_diagnose_without_an_intercept_says_so():
    told = fb.diagnose(APART, [1] * 5, [1, 1, 1, 1])
    assert (told.intercept, told.counted) == (None, {})
    assert "by norm without an intercept:" in str(told)
    assert "column of ones" not in str(told)


def test_diagnose_counts_the_intercepts_of_classes_and_of_matrices():
    points = np.vstack([9 * e + np.random.default_rng(0).normal(size=(4, 3)) for e in np.eye(3)]) + 5
    labels = np.repeat([0, 1, 2], 4)
    whole = fb.max_margin(np.column_stack([points, np.ones(12)]), labels).w
    told = fb.diagnose(points, labels, whole[:, :-1], intercept=whole[:, -1])
    assert told.counted["l2"] == pytest.approx(1, abs=1e-9)
    assert told.intercept == pytest.approx(whole[:, -1])
    square = OFFSET.reshape(5, 2, 2)
    whole = fb.max_margin(np.column_stack([OFFSET, np.ones(5)]), HALVES).w
    told = fb.diagnose(square, HALVES, whole[:-1].reshape(2, 2), intercept=whole[-1])
    assert told.counted["l2"] == pytest.approx(1, abs=1e-9)


def test_the_maxima_of_the_last_data_are_kept_to_the_bit(monkeypatch):
    asked, widest = [], maxima.widest

    def counted(rows, shape, norm, *more):
        asked.append(norm.name)
        return widest(rows, shape, norm, *more)
    monkeypatch.setattr(maxima, "widest", counted)
    ws = fb.max_margin(OFFSET, HALVES, "l2", intercept=True).w + np.array([[0.0] * 4, [0.1, 0, -0.2, 0]])
    maxima._LAST.clear()
    first = [fb.diagnose(OFFSET, HALVES, w, intercept=-1.0) for w in ws]
    listed = [name for name in asked if name in first[0].fractions]
    assert sorted(listed) == sorted([*first[0].fractions, "l1", "l2", "linf"])      # once each, and with ones
    again = []
    for w in ws:                                                        # each as if nothing were known
        maxima._LAST.clear()
        again.append(fb.diagnose(OFFSET, HALVES, w, intercept=-1.0))
    for one, other in zip(first, again, strict=True):
        assert (one.fractions, one.gaps, one.counted, one.angles, one.p) == (other.fractions, other.gaps, other.counted,
                                                                           other.angles, other.p)
    asked.clear()
    moved = OFFSET.copy()
    fb.diagnose(moved, HALVES, ws[0], intercept=-1.0)                   # of the same content
    assert "l1.25" not in asked
    moved[0] *= 2
    for changed in ((moved, HALVES, -1.0), (OFFSET, [1, 0, 1, 1, 1], None), (OFFSET, HALVES, -1.0)):
        asked.clear()
        with contextlib.suppress(ValueError):                           # (not separable, perhaps)
            fb.diagnose(*changed[:2], ws[0], intercept=changed[2])
            assert "l1.25" in asked


def test_margins_of_classes_are_those_over_all_other_classes():
    trace = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=100)
    for row, got in zip(trace.w[1:], trace.margin(N.spectral(3, 4))[1:], strict=True):
        scores = XK @ row.T
        own = scores[np.arange(20), YK.astype(int)]
        rival = np.where(np.eye(3, dtype=bool)[YK.astype(int)], -np.inf, scores).max(1)
        assert got == pytest.approx((own - rival).min() / np.linalg.norm(row, 2), rel=1e-10)


@long
def test_lemma_8_the_gradient_enters_the_cone_of_the_support_vectors():
    plan = fb.Plan(WIDE, SIGNS, loss="exponential", method=m.gradient_descent(0.02))
    trace, limit = plan.run(1_000_000), plan.limit()
    distance = trace.cone_distance(limit)
    assert distance[0] > 0.05
    assert distance[-1] < 1e-2
    rows = SIGNS[:, None] * WIDE
    support = rows[rows @ limit.w <= limit.margin * (1 + 1e-9)]
    assert len(support) == 2
    g = np.exp(-(rows @ trace.w[-1])) @ rows
    g /= np.linalg.norm(g)
    found = minimize(lambda a: ((support.T @ a - g) ** 2).sum(), np.ones(len(support)), bounds=[(0, None)] * len(support),
                     options={"ftol": 1e-16, "gtol": 1e-12})
    assert distance[-1] == pytest.approx(np.sqrt(found.fun), abs=1e-6)


# --- paths ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("norm", [N.l1, N.l2, N.lp(1.5), N.linf], ids=repr)
def test_the_regularisation_path_is_optimal_and_ends_at_the_maximum_margin(norm, loss):
    path = fb.regularisation_path(X, y, [0.3, 3.0, 3000.0], norm, loss)
    assert path.residuals.max() <= 1e-6
    weigh = {"exponential": lambda t: np.exp(-t), "logistic": lambda t: 1 / (1 + np.exp(t))}[loss]
    value = {"exponential": lambda t: np.exp(-t), "logistic": lambda t: np.log1p(np.exp(-t))}[loss]
    for c, w, log_loss in zip(path.radii[:2], path.w, path.log_loss, strict=False):
        assert norm(w) <= c * (1 + 1e-9)
        assert log_loss == pytest.approx(np.log(value(Z @ w).sum()))
        g = weigh(Z @ w) @ Z
        assert (c * norm.dual(g) - g @ w) / value(Z @ w).sum() <= 1e-6        # w maximises ⟨−∇L, v⟩ over the ball
    assert (Z @ path.w[-1]).min() / 3000 == pytest.approx(fb.max_margin(X, y, norm).margin, rel=2e-3)


@long
@pytest.mark.parametrize("loss", ["exponential", *slow("logistic")])
@pytest.mark.parametrize("norm", [N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic([1.0, 2.0, 3.0, 4.0]),
                                  N.spectral(2, 2), N.group([[0, 1], [2, 3]])], ids=repr)
def test_the_regularisation_path_goes_far(norm, loss):
    path = fb.regularisation_path(X, y, np.geomspace(0.1, 1e6, 15), norm, loss)
    assert path.residuals[path.radii <= 1e4].max() <= 1e-6
    assert path.residuals.max() <= 1e-3
    assert fb.regularisation_path(X, y, [1.0, 1e6], norm, loss).residuals.max() <= 1e-3         # in one leap
    assert norm(path.w[-1]) <= 1e6 * (1 + 1e-9)
    assert (Z @ path.w[-1]).min() / 1e6 == pytest.approx(fb.max_margin(X, y, norm).margin, rel=1e-5)


def test_the_regularisation_path_keeps_its_best_point_where_a_solver_fails(monkeypatch):
    monkeypatch.setattr("fastbias.solvers.balls.solve_tightly", lambda program: False)
    path = fb.regularisation_path(X, y, [0.1, 10.0], "l1")
    assert np.isfinite(path.w).all()
    assert path.residuals.max() > 1e-6


def test_the_regularisation_path_certifies_nothing_that_is_unknown(monkeypatch):
    monkeypatch.setattr(balls.Objective, "pull", lambda self, u: (0.0, np.full(self.size, np.nan)))
    assert fb.regularisation_path(X, y, [0.1, 10.0]).residuals.min() == np.inf


@pytest.mark.parametrize("norm", [N.l1, N.l2, N.linf, N.lp(3), N.group([[0], [1]])], ids=repr)
def test_the_regularisation_path_ends_where_it_interpolates(norm):
    path = fb.regularisation_path([[1, 2.0]], [1], [0.1, 10], norm, "squared")
    assert path.w[1] @ [1, 2] == pytest.approx(1, rel=1e-9)
    assert norm(path.w[1]) <= 1 + 1e-9
    assert path.residuals[1] == 0
    assert path.residuals[0] <= 1e-8


def test_the_regularisation_path_of_classes_and_its_refusals():
    path = fb.regularisation_path(XK, YK, [1.0, 30.0], N.spectral(3, 4), "cross_entropy")
    assert path.w.shape == (2, 3, 4)
    assert path.residuals.max() <= 1e-5
    with pytest.raises(ValueError, match="convex face"):
        fb.regularisation_path(X, y, [1.0], N.Norm("bare", N.l2.steepest, N.l2.dual_norm, N.l2.norm))
    with pytest.raises(ValueError, match="12 entries"):
        fb.regularisation_path(X, y, [1.0], N.spectral(3, 4))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for the spectral norm, got \(3, 4\)"):
        fb.regularisation_path(XK, YK, [1.0], N.spectral(4, 3), "cross_entropy")
    with pytest.raises(ValueError, match="radii must be > 0"):
        fb.regularisation_path(X, y, [0.0, 1.0])


# --- input ---------------------------------------------------------------------------------------------------------------

def test_labels_and_shapes_get_one_sentence():
    for labels, words in (([0] * 20, "two values or more for the cross_entropy loss"), ([0.5] * 20, "got {0.5}")):
        with pytest.raises(ValueError, match=words):
            fb.Plan(XK, labels, loss="cross_entropy", method=m.gradient_descent(0.1))
    with pytest.raises(ValueError, match=r"must be an \(N, d\) array for the cross_entropy loss"):
        fb.Plan(XM, (YM + 1) / 2, loss="cross_entropy", method=m.gradient_descent(0.1))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) of the spectral norm, got \(3, 4\)"):
        fb.Plan(XK, YK, loss="cross_entropy", method=m.steepest_descent(N.spectral(4, 3), 0.1))
    with pytest.raises(ValueError, match="shape"):
        fb.max_margin(XK, YK, N.spectral(4, 3))
    with pytest.raises(ValueError, match="m must be a whole number"):
        N.spectral(0, 2)


def test_nan_is_not_hidden_by_matrix_norms():
    for norm in (N.spectral(2, 2), N.nuclear(2, 2)):
        out = np.zeros(4)
        call(norm.steepest, norm.params, np.array([1.0, np.nan, 0, 0]), out)
        assert np.isnan(out).all()
        assert np.isnan(call(norm.dual_norm, norm.params, np.array([1.0, np.inf, 0, 0])))
