"""Where runs end, enclosed: small starts, primal momentum, and Adam's own weights; the proofs held against runs."""
import copy
import json
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.discovery import checking, completing, straying, weighing
from tests.helpers import JIT

m = fb.methods
long = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")
HIDDEN = np.nan
# three entries of the matrix of rank one of v = (1, 1, 2): trace 6, where 5 can be had
SEEN = np.array([[1, 1, HIDDEN], [1, HIDDEN, 2], [HIDDEN, 2, HIDDEN]])
TWO = np.array([[2.0, 3, -1], [2, 2, 1], [1, 3, 1]])


def numbers(rows):
    return np.array([[float(Fraction(x)) for x in row] for row in rows])


@pytest.mark.parametrize("name", ["two fixed points of per-sample adam's map", pytest.param(
    "small starts find the nuclear norm", marks=pytest.mark.slow), pytest.param(
    "primal momentum leaves the projection", marks=pytest.mark.slow)])
def test_it_is_found_from_the_statement_alone(name):
    found = fb.hunt(name, seconds=60, rng=1)
    assert found.violation > 0
    assert checking.check(json.loads(json.dumps(found.proof)))


def test_the_completion_of_small_starts_that_is_proved():
    proof = json.loads(json.dumps(completing.prove(SEEN)))
    assert checking.check(proof)
    limit, shorter = numbers(proof["limit"]), numbers(proof["shorter"])
    assert np.array_equal(limit, np.outer([1, 1, 2], [1, 1, 2]))
    assert np.linalg.eigvalsh(shorter)[0] > -1e-12
    assert np.trace(shorter) == 5
    # and by linear programs no completion has less
    assert np.trace(completing._completed(SEEN)) == pytest.approx(5, abs=1e-6)


@long
@pytest.mark.parametrize("alpha", [1e-3, 1e-5])
def test_runs_from_small_starts_end_there(alpha):
    """By the model itself, nearer the smaller the start is."""
    pairs = [(i, j) for i in range(3) for j in range(i, 3) if np.isfinite(SEEN[i, j])]
    X = np.zeros((len(pairs), 3, 3))
    for k, (i, j) in enumerate(pairs):
        X[k, i, j] = X[k, j, i] = 1 if i == j else 0.5
    y = [SEEN[i, j] for i, j in pairs]
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01), model=fb.models.symmetric(3),
                   start=alpha * np.eye(3))
    W = plan.run(40_000, record=2).w[-1]
    off = np.abs(W - np.outer([1, 1, 2], [1, 1, 2])).max()
    assert off < 30 * alpha ** 0.5
    assert np.trace(W) > 5.5


@pytest.mark.parametrize(("change", "line"), [
    (lambda p: p["entries"].pop(0), "an odd circle"),          # without the diagonal there is none
    (lambda p: p["entries"].pop(1), "mirror images"),
    (lambda p: p["limit"][2].__setitem__(2, "5"), "of rank one"),
    (lambda p: p["shorter"][0].__setitem__(1, "2"), "symmetric"),
    (lambda p: p["shorter"][2].__setitem__(2, "1"), "positive semidefinite"),
    (lambda p: p.update(shorter=p["limit"]), "less trace"),
    (lambda p: p["limit"][0].__setitem__(2, "-2") or p["limit"][2].__setitem__(0, "-2"), "of rank one"),
    (lambda p: p["entries"][0].__setitem__(2, "2"), "have the entries"),
])
def test_altered_completions_are_refused(change, line):
    wrong = copy.deepcopy(completing.prove(SEEN))
    change(wrong)
    with pytest.raises(ValueError, match=f"the proof fails: .*{line}"):
        checking.check(wrong)


def test_what_has_its_least_nuclear_norm_is_no_counter_example():
    ones = np.array([[HIDDEN, 1, 1], [1, HIDDEN, 1], [1, 1, HIDDEN]])
    assert completing.violation(ones) == 0
    assert completing.prove(ones) is None
    # a circle of four is even: where small starts end is not determined by the entries alone
    even = np.full((4, 4), HIDDEN)
    for i in range(4):
        even[i, (i + 1) % 4] = even[(i + 1) % 4, i] = 1 + i % 2
    assert completing.prove(even) is None


@long
def test_primal_momentum_ends_in_the_box_that_is_proved():
    problem = (1, 2, 1, Fraction(1, 32), Fraction(1, 2), Fraction(1, 4))
    proof = straying.prove(problem)
    assert checking.check(json.loads(json.dumps(proof)))
    method = m.mirror_descent("entropy", 1 / 32, primal_momentum=0.5, nesterov=0.25)
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=method)
    w = plan.run(100_000).w[-1]
    inside, _ = straying._followed([1, 2], 1, problem[3:], proof["steps"])
    assert all(abs(Fraction(x) - v.middle) < straying.RADIUS for x, v in zip(w, inside, strict=True))
    assert np.abs(w - fb.bregman_projection([[1, 2]], [1], "entropy").w).max() > 0.01
    assert straying.violation(problem) == pytest.approx(abs(2 * np.log(w[0]) - np.log(w[1])) / 5 ** 0.5)


@pytest.mark.parametrize(("change", "line"), [
    ({"steps": 5}, "inside the box"), ({"rows": 2}, "halve"), ({"radius": "1/2"}, "domain|halve|not in the box"),
    ({"beta": "0", "steps": 200}, "not in the box"), ({"step": "-1/32"}, "positive"), ({"y": 100, "step": "1/2"}, "domain|halve|inside")])
def test_altered_runs_of_momentum_are_refused(change, line):
    proof = straying.prove((1, 2, 1, Fraction(1, 32), Fraction(1, 2), Fraction(0)))
    with pytest.raises(ValueError, match=f"the proof fails: .*({line})"):
        checking.check(proof | change)


def test_without_momentum_there_is_nothing_to_prove():
    plain = (1, 2, 1, Fraction(1, 32), Fraction(0), Fraction(1, 2))
    assert straying.violation(plain) == 0
    proof = straying.prove(plain)
    with pytest.raises(ValueError, match="the projection is not in the box"):
        checking.check(proof)


def test_both_fixed_points_are_the_maximum_margin_in_the_norm_of_their_own_multipliers():
    proof = weighing.prove(TWO)
    assert checking.check(json.loads(json.dumps(proof)))
    ends = []
    for c in numbers(proof["weights"]):
        M = np.sqrt((c ** 2) @ TWO ** 2)
        limit = fb.max_margin(TWO, np.ones(3), fb.norms.quadratic(M))
        assert limit.certified
        assert np.abs(limit.dual - c).max() < 1e-9
        ends.append(limit.w / np.linalg.norm(limit.w))
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(weighing.violation(TWO), abs=1e-8)
    # the theory looks for them from several weights, and names none of them
    method = m.adam(fb.steps.power(0.01, 0.5), eps=0.0, batch=1, replace=False, rng=0)
    plan = fb.Plan(TWO, np.ones(3), loss="exponential", method=method)
    with pytest.raises(fb.NoTheorem, match="is not the only one"):
        plan.limit()


@pytest.mark.parametrize(("change", "line"), [
    (lambda p: p["weights"].pop(), "two fixed points"),
    (lambda p: p.update(weights=[p["weights"][0]] * 2), "directions differ"),
    (lambda p: p["weights"][0].__setitem__(0, "1/2"), "Krawczyk"),
    (lambda p: p["weights"][0].__setitem__(0, "-1/2"), "none negative"),
    (lambda p: p.update(radius="1/2"), "Krawczyk|seen"),
    (lambda p: p["Z"].append([0, 1, 0]) or [c.append("0") for c in p["weights"]], "farther away"),
    (lambda p: p["Z"].__setitem__(1, p["Z"][0]), "independent"),
])
def test_altered_fixed_points_are_refused(change, line):
    wrong = copy.deepcopy(weighing.prove(TWO))
    change(wrong)
    with pytest.raises(ValueError, match=f"the proof fails: .*({line})"):
        checking.check(wrong)


def test_a_problem_with_one_fixed_point_is_no_counter_example():
    assert weighing.violation(np.eye(3) + 1) == 0
    assert weighing.prove(np.eye(3) + 1) is None
