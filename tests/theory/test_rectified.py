"""Networks of rectified units: what the theory says of them, and stationarity on kinks."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.kinks import points_of
from fastbias.solvers.kkt import kkt_residual, stationarity

CORNERS, XOR = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([-1.0, -1.0, 1.0, 1.0])
m = fb.methods


def plan_of(X=CORNERS, y=XOR, loss="exponential", width=6, offset=False, rows=None, start=None, decay=0.0):
    model = fb.models.relu(X, width, offset=offset)
    return fb.Plan(np.eye(len(X)) if rows is None else rows, y, loss=loss, method=m.gradient_descent(0.01, weight_decay=decay),
                   model=model, start=model.start(0.5, rng=0) if start is None else start)


def parameters(network):
    """u of a network of units of size one, with |a_k| = ‖(b_k, c_k)‖."""
    size = np.sqrt(np.abs(network.weights))
    return np.concatenate([np.sign(network.weights) * size, (network.normals * size[:, None]).ravel(), network.shifts * size])


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_exponential_tails_go_to_the_widest_network_under_conditions_that_stay_open(loss):
    limit, best = plan_of(loss=loss).limit(), fb.relu.margin(CORNERS, XOR)
    assert limit.theorem == "the maximum margin in the variation norm of infinitely wide networks"
    assert limit.source == "Chizat, Bach (2020)"
    assert limit.certified
    assert (limit.margin, limit.dual.tolist()) == (best.margin, best.dual.tolist())
    assert (XOR * limit.w).min() == pytest.approx(limit.margin, rel=1e-10)
    open_ = [h.statement for h in limit.hypotheses if h.holds is None]
    assert any("infinitely many units" in told for told in open_)
    assert any("weights of the samples" in told for told in open_)
    assert "local optimum (Vardi, Shamir, Srebro 2022)" in str(limit)
    assert str(limit).count("\n") < 30


@pytest.mark.parametrize(("plan", "words"), [
    (lambda: plan_of(loss="squared"), r"Vardi & Shamir 2021.*Boursier.*fb.relu.fit"),
    (lambda: plan_of(loss="squared", offset=True), r"Vardi & Shamir 2021.*Boursier.*fb.relu.fit"),
    (lambda: plan_of(loss="squared", decay=0.1), "least cost with biases counted"),
    (lambda: plan_of(decay=0.1), "in direction fb.relu.margin"),
    (lambda: plan_of(offset=True), "homogeneous"),
    (lambda: plan_of(rows=2 * np.eye(4)), "needs a run first"),
    (lambda: plan_of(X=CORNERS[[0, 1, 2, 0]]), "labels must be the same at equal points")])
def test_where_nothing_is_known_it_says_so(plan, words):
    with pytest.raises(fb.NoTheorem, match=words):
        plan().limit()


def test_the_samples_may_be_some_of_the_points_in_any_order():
    some = np.eye(4)[[3, 0, 2]]
    plan = plan_of(y=XOR[[3, 0, 2]], rows=some)
    assert points_of(plan.problem).tolist() == CORNERS[[3, 0, 2]].tolist()
    limit = plan.limit()
    assert limit.margin == pytest.approx(fb.relu.margin(CORNERS[[3, 0, 2]], XOR[[3, 0, 2]]).margin, rel=1e-12)
    assert limit.w.size == 4


def test_the_widest_network_is_stationary_on_its_kinks():
    """Its units lie on the hyperplanes of the data, where one element of the subdifferential is not enough."""
    X = np.random.default_rng(0).normal(size=(7, 2))
    y = np.where(np.arange(7) % 2, 1.0, -1.0)
    best = fb.relu.margin(X, y)
    u = parameters(best.network)
    problem = plan_of(X, y, width=best.network.weights.size, start=u).problem
    residual, lam = stationarity(problem, u)
    assert residual < 1e-7
    assert lam / lam.sum() == pytest.approx(best.dual, abs=1e-6)
    one = kkt_residual(u, problem.model.pulls(u, problem.Z), problem.Z @ problem.predictor(u), 2)[0]
    assert one > 0.05
    near = stationarity(problem, u * (1 + 1e-4 * np.random.default_rng(1).normal(size=u.size)))[0]
    assert residual < near < 0.05                            # nothing decides which samples are near enough
    assert stationarity(problem, u * 1e100)[0] == pytest.approx(residual, abs=1e-8)


def test_far_from_kinks_it_is_the_residual_without_them():
    X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 1.0, 1.0])
    u = np.array([1.0, 0.5, 0.3, 0.2, 2.0, 1.5])             # two units that see all points by far
    problem = plan_of(X, y, width=2, start=u).problem
    plain = kkt_residual(u / 2, problem.model.pulls(u / 2, problem.Z), problem.Z @ problem.predictor(u / 2), 2)[0]
    assert stationarity(problem, u)[0] <= plain + 1e-12
    assert stationarity(problem, u)[0] == pytest.approx(plain, abs=0.05)
    assert stationarity(problem, -u)[0] == np.inf            # on the wrong side
