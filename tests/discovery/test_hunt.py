"""Counter-examples are found from the statement alone, and proved; the proofs are read by others."""
import copy
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy.optimize import linprog

import fastbias as fb
from fastbias.discovery import boosting, checking, cycling, stagewise
from fastbias.discovery.intervals import Interval
from tests.helpers import JIT

# Rudin, Daubechies, Schapire 2004: a cycle of margin 1/3, where 3/8 can be had
KNOWN = np.array([[int(x) for x in row.split()] for row in (
    "-1 1 1 1 1 -1 -1 1", "-1 1 1 -1 -1 1 1 1", "1 -1 1 1 1 -1 1 1", "1 -1 1 1 -1 1 1 1", "1 -1 1 -1 1 1 1 -1",
    "1 1 -1 1 1 1 1 -1", "1 1 -1 1 1 1 -1 1", "1 1 1 1 -1 -1 1 -1")], float)


def least_l1(X, y):
    found = linprog(np.ones(2 * X.shape[1]), A_eq=np.hstack([X, -X]), b_eq=y, method="highs-ds")
    return found.fun


def test_stagewise_does_not_follow_l1():
    found = fb.hunt("stagewise follows l1", seconds=30)
    X, y = found.problem
    assert np.abs(np.hstack([X, y[:, None]])).max() <= 3
    # the compiled method itself goes there, and not to the least norm
    if JIT:
        plan = fb.Plan(X, y, loss="squared", method=fb.methods.stagewise(1e-4))
        end = plan.run(50_000, record=2).w[-1]
        ended = np.array([float(Fraction(x)) for x in found.proof["path"][-1]])
        assert np.abs(end - ended).max() < 1e-2
        assert np.abs(end).sum() > least_l1(X, y) + 0.1 * found.violation


def test_the_path_of_the_known_counter_example():
    X, y = np.array([[0.0, 3, -1], [3, 2, 2]]), np.array([2.0, -4])
    proof = stagewise.prove((X, y))
    assert checking.check(json.loads(json.dumps(proof)))
    assert [Fraction(x) for x in proof["path"][-1]] == [Fraction(-2, 3), Fraction(1, 4), Fraction(-5, 4)]
    assert sum(abs(Fraction(x)) for x in proof["shorter"]) == 2


def test_gradient_descent_goes_round_below_2_over_lambda():
    found = fb.hunt("gd below 2/lambda converges", seconds=60)
    z = np.concatenate([[float(Fraction(x))] * n for x, n in found.proof["z"]])
    eta, start = float(Fraction(found.proof["step"])), float(Fraction(found.proof["box"][0]))
    with mpmath.workdps(40):
        best = mpmath.findroot(lambda w: sum(-x / (1 + mpmath.exp(x * w)) for x in z), start / 2)
        curvature = sum(x ** 2 / (2 + 2 * mpmath.cosh(x * best)) for x in z)
        assert eta * curvature < 2
    w, seen = start, []
    for _ in range(1000):
        w = w - eta * np.sum(-z / (1 + np.exp(z * w)))
        seen.append(abs(w - float(best)))
    assert min(seen) > 1e-3
    assert abs(w - start) < 1e-5
    assert z.sum() < z[0]                                    # both signs: nothing separates them


@pytest.mark.slow
@pytest.mark.parametrize("conjecture", ["adaboost reaches the l1 margin", "line search keeps the margin"])
def test_adaboost_stays_under_the_margin(conjecture):
    found = fb.hunt(conjecture, seconds=300, rng=1)
    M, (N, d) = found.problem, found.problem.shape
    assert fb.max_margin(M, np.ones(N), "l1").margin > boosting._margins(M[None], 6000)[0][0] + 5e-3
    assert checking.check(found.proof)
    assert N * d <= 100


def test_the_known_cycle_of_adaboost_is_proved():
    proof = boosting.prove(KNOWN)
    assert checking.check(json.loads(json.dumps(proof)))
    assert (proof["margin"], proof["round"]) == ("3/8", 3)
    # a margin that the cycle does reach is refused
    wrong = proof | {"margin": "1/3"}
    with pytest.raises(ValueError, match="some row stays under the margin"):
        checking.check(wrong)


def test_a_matrix_on_which_adaboost_reaches_its_margin_is_not_proved():
    M = 1.0 - 2 * np.eye(3)
    assert boosting.violation(M) == 0
    proof = boosting.prove(M)
    if proof is not None:
        with pytest.raises(ValueError, match="the proof fails"):
            checking.check(proof)


@pytest.mark.parametrize("change", ["step", "box", "minimiser", "z"])
def test_altered_cycles_are_refused(change):
    proof = cycling.prove((23, 3, 21, 1.95))
    assert checking.check(proof)
    wrong = copy.deepcopy(proof)
    wrong[change] = {"step": str(2 * Fraction(proof["step"])), "box": ["0", "1/1000000"],
                     "minimiser": ["0", "1/10"], "z": [["23", 1], ["-3", 40]]}[change]
    with pytest.raises(ValueError, match="the proof fails"):
        checking.check(wrong)


def test_altered_paths_are_refused():
    proof = stagewise.prove((np.array([[1.0, 0, 2], [0, 1, 2]]), np.array([1.0, 0])))
    for change in (lambda p: p["path"].pop(1), lambda p: p["path"].pop(), lambda p: p["shorter"].reverse(),
                   lambda p: p.update(shorter=p["path"][-1])):
        wrong = copy.deepcopy(proof)
        change(wrong)
        with pytest.raises(ValueError, match="the proof fails"):
            checking.check(wrong)


def test_intervals_hold_what_they_should():
    rng = np.random.default_rng(0)
    with mpmath.workdps(80):
        for _ in range(200):
            x, y = (Fraction(float(v)) for v in rng.normal(size=2) * 10.0 ** rng.uniform(-3, 1.5))
            a, b = Interval.of(x, 120), Interval.of(y, 120)
            for found, true in ((a + b, x + y), (a - b, x - y), (a * b, x * y), (a / b, x / y)):
                assert found.ends[0] <= true <= found.ends[1]
                assert found.ends[1] - found.ends[0] < Fraction(1, 2 ** 60)
            true = mpmath.exp(mpmath.mpf(x.numerator) / x.denominator)
            low, high = (mpmath.mpf(e.numerator) / e.denominator for e in a.exp().ends)
            assert low <= true <= high
            assert high - low < mpmath.mpf(2) ** -40 * max(1, true)
            low, high = (a * a).sqrt().ends
            assert low <= abs(x) <= high
            assert high - low < Fraction(1, 2 ** 50)
    assert Interval.of(0, 8).around(Fraction(1, 4)).sqrt().ends == (0, Fraction(129, 256))
    wide = Interval.of(Fraction(1, 3), 64).around(Fraction(1, 100))
    assert Interval.of(Fraction(1, 3), 64).inside(wide)
    assert not wide.apart(wide)
    with pytest.raises(ZeroDivisionError):
        wide / Interval.of(0, 64)


def test_conjectures_of_ones_own():
    even = fb.Conjecture("no square of an odd number is of the form 8k + 1",
                         draw=lambda rng: int(rng.integers(100, 1000)), violation=lambda n: float(n % 2 and n * n % 8 == 1),
                         smaller=lambda n: (k for k in (n // 2, n - 2) if k > 0))
    found = fb.hunt(even, seconds=5)
    assert (found.problem, found.proof) == (1, None)
    none = fb.hunt(fb.Conjecture("true", draw=lambda rng: 0, violation=lambda n: 0.0), seconds=0.05)
    assert (none.problem, none.proof, none.violation) == (None, None, 0.0)
    assert "no counter-example" in repr(none)


def test_bad_arguments():
    with pytest.raises(ValueError, match="conjecture must be one of"):
        fb.hunt("all is well")
    with pytest.raises(TypeError, match="conjecture must be one of .* or a Conjecture"):
        fb.hunt(3)
    with pytest.raises(ValueError, match="seconds must be"):
        fb.hunt("stagewise follows l1", seconds=-1)
    with pytest.raises(TypeError, match="draw of a Conjecture must be callable"):
        fb.Conjecture("x", draw=1, violation=len)
    with pytest.raises(TypeError, match="statement must be a text"):
        fb.Conjecture(1, draw=len, violation=len)
