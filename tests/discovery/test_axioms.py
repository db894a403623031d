"""Axioms of choice: the verdicts of Section 2 come out of runs alone, and each refutation is exact."""
import copy
import json
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.discovery import axioms, checking
from tests.helpers import JIT

m, P, lp = fb.methods, fb.potentials, fb.norms.lp
long = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")

# method → whether it minimises one function over the solutions: Section 2 of the paper, by hand
SECTION_2 = {
    "gradient descent": (m.gradient_descent(0.2), True),
    "heavy ball": (m.gradient_descent(0.2, 0.5), True),
    "Nesterov": (m.gradient_descent(0.1, 0.5, 0.5), True),
    "stochastic": (m.gradient_descent(0.2, batch=1, rng=0), True),
    "mirror, power 1.5": (m.mirror_descent(P.power(1.5), 0.02), True),
    "mirror, hypentropy": (m.mirror_descent(P.hypentropy(0.3), 0.02), True),
    "mirror, cosh": (m.mirror_descent(P.cosh, 0.1), True),
    "mirror, entropy": (m.mirror_descent(P.entropy, 0.02), True),
    "mirror, squared lp": (m.mirror_descent(P.squared_lp(1.5), 0.05), True),
    "dual momentum": (m.mirror_descent(P.entropy, 0.02, dual_momentum=0.5), True),
    "primal momentum": (m.mirror_descent(P.entropy, 0.02, primal_momentum=0.5), False),
    "natural gradient": (m.natural_gradient(P.entropy, 0.05), False),
    "natural, quadratic": (m.natural_gradient(P.quadratic([1, 2, 3, 4]), 0.1), True),
    "primal, quadratic": (m.mirror_descent(P.quadratic([1, 2, 3, 4]), 0.1, primal_momentum=0.5), True),
    "steepest, quadratic": (m.steepest_descent(fb.norms.quadratic([1, 2, 3, 4]), 0.1), True),
    "steepest l4/3": (m.steepest_descent(lp(4 / 3), 0.01), False),
    "steepest l3": (m.steepest_descent(lp(3), 0.01), False),
    "steepest linf": (m.steepest_descent("linf", 0.01), False),
    "coordinate descent": (m.coordinate_descent(0.02), False),
    "AdaGrad": (m.adagrad(0.3), False),
    "Adam": (m.adam(1e-3), False),
    "RMSProp": (m.rmsprop(1e-3), False),
}
LOSSES = (fb.losses.squared, fb.losses.huber(10.0), fb.losses.truncated_squared(100.0))


@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("name", SECTION_2)
def test_the_verdicts_of_section_2(name, loss):
    method, rational = SECTION_2[name]
    seen = fb.axioms.examine(method, loss)
    assert set(seen.holds.values()) == {rational}, seen
    if not rational:
        assert checking.check(seen.proof)


@long
@pytest.mark.parametrize("name", [
    "gradient descent", "AdaGrad", pytest.param("natural, quadratic", marks=pytest.mark.slow),
    pytest.param("steepest l4/3", marks=pytest.mark.slow)])
def test_some_verdicts_of_section_2(name):
    method, rational = SECTION_2[name]
    seen = fb.axioms.examine(method)
    assert set(seen.holds.values()) == {rational}, seen
    # a second reader of the proof, in floats and from the definition alone
    proof = json.loads(json.dumps(seen.proof))
    if rational:
        assert proof["kind"].startswith("one")
    else:
        links = proof["multipliers"]
        for (k, j, _), (after, *_) in zip(links, links[1:] + links[:1], strict=True):
            X, y, w = (np.array([[float(Fraction(x)) for x in row] for row in rows]) for rows in (
                proof["problems"][k]["X"], [proof["problems"][k]["y"]], [proof["choices"][j]]))
            assert j == after
            assert np.abs(X @ w[0] - y[0]).max() < 1e-9        # w_j was available to problem k
            assert np.abs(w[0] - proof["measured"][j]).max() < 1e-6
        first, second = (np.array(proof["measured"][k]) for k in links[0][:2])
        assert np.linalg.norm(first - second) > 0.01


def least(X, y):
    return np.linalg.pinv(X) @ y


def ran(X, y):
    """A plan that stands elsewhere already."""
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.2))
    plan.run(3)
    return plan


def first_basis(X, y):
    """The solution on the first columns that are independent: a rule, but no minimum."""
    columns = []
    for j in range(X.shape[1]):
        if np.linalg.matrix_rank(X[:, [*columns, j]]) > len(columns):
            columns.append(j)
    w = np.zeros(X.shape[1])
    w[columns] = np.linalg.lstsq(X[:, columns], y, rcond=None)[0]
    return w


def rescaled(X, y):
    """Least in a norm that the data's own columns choose."""
    c = np.abs(X).sum(0) + 0.1
    return np.linalg.pinv(X * c) @ y * c


def test_a_function_is_examined_too():
    seen = fb.axioms.examine(least)
    assert all(seen.holds.values())
    assert checking.check(seen.proof)
    assert seen.proof["kind"] == "one convex function explains these choices"
    other = fb.axioms.examine(rescaled)
    assert not any(other.holds.values())
    assert checking.check(other.proof)


def test_a_rule_that_is_lexicographic_keeps_the_axioms_of_pairs():
    # it takes the least |w_4|, of those the least |w_3|, …: an order, though of no strictly convex function
    seen = fb.axioms.examine(first_basis)
    assert seen.holds["representation"]
    assert seen.holds["irrelevant alternatives"]


def test_altered_proofs_are_refused():
    proof = fb.axioms.examine(rescaled).proof
    for change in ("choices", "problems", "multipliers"):
        wrong = copy.deepcopy(proof)
        if change == "choices":
            wrong["choices"][0][0] += "1"
        if change == "problems":
            wrong["problems"][0]["X"][0][0] = "17/3"
        if change == "multipliers":
            wrong["multipliers"] = wrong["multipliers"][:1]
        with pytest.raises(ValueError, match="the proof fails"):
            checking.check(wrong)
    good = fb.axioms.examine(least).proof
    wrong = copy.deepcopy(good)
    wrong["values"] = ["0"] * len(good["values"])
    with pytest.raises(ValueError, match="where both were available"):
        checking.check(wrong)
    with pytest.raises(ValueError, match="kind must be one of"):
        checking.check({})


@long
@pytest.mark.slow
def test_directions():
    kept = fb.axioms.examine(m.gradient_descent(0.2), "exponential")
    assert all(kept.holds.values())
    assert kept.moves["irrelevant alternatives"] < 1e-6
    turned = fb.axioms.examine(m.adagrad(0.3), "exponential")
    assert not any(turned.holds.values())
    assert turned.moves["irrelevant alternatives"] > 0.1
    assert turned.proof["solutions"] == "Xw >= y"
    assert checking.check(turned.proof)


@long
@pytest.mark.slow
def test_what_is_slow_is_not_called_a_violation():
    # 300 times fewer steps than its runs take: what ends far from the limit is left out, or moves within doubt
    seen = fb.axioms.examine(lambda X, y: fb.Plan(X, y, loss="squared", method=m.gradient_descent(2e-3)))
    assert all(seen.holds.values())


def test_what_a_function_does_to_its_data_changes_no_problem(monkeypatch):
    monkeypatch.setattr(axioms, "BASES", 2)
    monkeypatch.setattr(axioms, "ROUNDS", 0)

    def careless(X, y):
        w = least(X, y)
        X *= 0
        return w

    assert all(fb.axioms.examine(careless).holds.values())


def test_a_circle_of_two_is_a_circle(monkeypatch):
    # w jumps with the order of the rows, so that equal sets have other choices
    def turning(X, y):
        far = np.linalg.svd(X)[2][-1]
        return least(X, y) + (far if X[0, 0] > X[-1, 0] else 0.0) * np.sign(far[0])

    def only_pairs(hunt, choices, relation, of_two, inner=axioms._circle):
        circle, move = inner(hunt, choices, relation, of_two)
        return (circle if of_two else []), move

    monkeypatch.setattr(axioms, "_circle", only_pairs)
    monkeypatch.setattr(axioms, "refuted", lambda choices, circle: None)
    seen = fb.axioms.examine(turning)
    assert not seen.holds["WARP"]
    assert not seen.holds["SARP"]
    assert not seen.holds["Afriat"]
    assert seen.proof is None


@pytest.mark.parametrize("document", [None, [], {"kind": []}, {"kind": "no convex function explains these choices"},
                                      {"kind": "gradient descent below 2/lambda goes round", "z": [["1/0", 1]]},
                                      {"kind": "AdaBoost stays under the largest margin", "M": 3}])
def test_what_is_no_document_is_refused_in_a_sentence(document):
    with pytest.raises(ValueError, match="kind must be one of|the proof fails: its parts cannot be read"):
        checking.check(document)


def test_bad_arguments():
    with pytest.raises(ValueError, match="optimiser must return a Plan that has not run yet"):
        fb.axioms.examine(ran)
    with pytest.raises(TypeError, match="optimiser must be a method of fb.methods, or a function"):
        fb.axioms.examine(3)
    with pytest.raises(ValueError, match="loss must be one of numbers or of two labels"):
        fb.axioms.examine(least, "cross_entropy")
    with pytest.raises(ValueError, match="optimiser must reach solutions of small problems"):
        fb.axioms.examine(lambda X, y: np.ones(X.shape[1]))
    with pytest.raises(TypeError, match="rng must be"):
        fb.axioms.examine(least, rng="x")


def test_it_prints_a_table():
    lines = repr(fb.axioms.examine(least)).splitlines()
    assert len(lines) <= 30
    assert any("SARP" in line and "no violation found" in line for line in lines)
