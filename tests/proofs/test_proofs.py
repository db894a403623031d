"""Limits over the rationals: the checker takes them, alone and beside a twin in fractions, and they are what floats found."""
import ast
import copy
import itertools
import json
import math
import pathlib
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.proofs import checker, documents, lifting, wholes
from tests.helpers.proved import KINDS, holds, problem
from tests.proofs.test_altered import alone

X, Y = [[3.0, 1], [1, 2], [-1, -1.5], [4, 4]], [1, 1, -1, 1]


def answers(seeds, most, kinds=KINDS):
    """Random problems that have an answer, and their proof, or why there is none."""
    for seed in seeds:
        named, ask = problem(seed, most, kinds)
        try:
            found = ask()
        except (ValueError, ArithmeticError):               # nothing separates, or nothing meets the equations
            continue
        try:
            yield named, found, found.proof()
        except LookupError as why:
            yield named, found, str(why)


def test_random_problems_have_exact_proofs():
    count = 0
    for named, found, proof in answers(range(72), (12, 8)):
        assert isinstance(proof, dict), (named, proof)
        assert fb.proofs.check(json.loads(json.dumps(proof))), named
        assert holds(proof), named
        if isinstance(found, fb.Limit):
            assert found.rung == "exact"
            assert found.certified, named
        count += 1
    assert count > 60


@pytest.mark.exhaustive
def test_1000_random_problems_have_exact_proofs(tmp_path):
    """Up to 300 × 60: at least 99 % are exact, and the checker takes all of these in a process of its own."""
    told, exact = {}, 0
    for named, found, proof in answers(range(5000, 6030), (300, 60)):
        kind = named.split(": ")[1].rsplit(" ", 3)[0]
        good, total = told.get(kind, (0, 0))
        told[kind] = good + isinstance(proof, dict), total + 1
        if not isinstance(proof, dict):
            print(f"float: {named}, certified {getattr(found, 'certified', None)}: {proof}")
            continue
        exact += 1
        path = tmp_path / f"{exact % 100}.json"
        path.write_text(json.dumps(proof))
        code, text = alone(path)
        assert code == 0, (named, text)
    total = sum(n for _, n in told.values())
    print(f"{exact} of {total} exact")
    assert total >= 1000
    assert exact >= 0.99 * total


def test_the_checker_is_one_short_file_of_the_standard_library(tmp_path):
    path = pathlib.Path(checker.__file__)
    assert len(path.read_text().splitlines()) <= 150
    loaded = {name.name for node in ast.walk(ast.parse(path.read_text())) for name in getattr(node, "names", [])
              if isinstance(node, (ast.Import, ast.ImportFrom))}
    assert loaded == {"json", "sys", "MAX_EMAX", "MIN_EMIN", "Callable", "Context", "Decimal", "Fraction", "isqrt", "lcm", "mul",
                      "sub", "re"}
    (tmp_path / "proof.json").write_text(json.dumps(fb.max_margin(X, Y, "l1").proof()))
    assert alone(tmp_path / "proof.json") == (0, "proved: maximum margin, of 4 rows\n")
    assert alone(tmp_path / "nobody.json")[0] == 1
    (tmp_path / "proof.json").write_text(json.dumps({**fb.max_margin(X, Y, "l1").proof(), "value": "1/3"}))
    code, text = alone(tmp_path / "proof.json")
    assert (code, text.split(":")[:2]) == (1, ["refused", " the proof fails at line 'dual'"])
    done = subprocess.run([sys.executable, "-I", "-S", str(path)], capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_values_that_are_known():
    third = fb.max_margin([[1, 0], [0, 1]], [1, 1]).proof()
    assert (third["value"], third["dual"]) == ("1/2", ["1/2", "1/2"])              # γ² = 1/2
    assert fb.max_margin([[1, 0], [0, 1]], [1, 1], "l1").proof()["value"] == "1/2"
    assert fb.max_margin([[1, 0], [0, 1]], [1, 1], "linf").proof()["value"] == "1"
    assert fb.max_margin([[0.1]], [1], "l1").proof()["value"] == documents.text(Fraction(0.1))
    assert fb.minimum_norm([[1, 2]], [1]).proof()["value"] == "1/2"
    assert fb.minimum_norm([[1, 2]], [1], "l2").proof()["value"] == "1/5"          # its square
    assert fb.minimum_norm([[1, 2]], [1], "linf").proof()["value"] == "1/3"
    assert fb.bregman_projection([[1, 1]], [1], "euclidean", [1, 1]).proof()["value"] == "1/2"
    free = fb.max_margin([[3, 0], [5, 1], [0, 0]], [1, 1, 0], intercept=True).proof()
    assert (free["value"], free["primal"]) == ("9/4", ["2/3", "0", "-1"])
    D = fb.max_margin([[1, 0], [0, 1]], [1, 1], fb.norms.quadratic([1.0, 3.0])).proof()
    assert (D["value"], D["dual"]) == ("1/4", ["1/4", "3/4"])


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_duplicates_ties_and_weights_of_zero(norm):
    corners = np.array([[1.0, s, t] for s in (-1, 1) for t in (-1, 1)])
    for rows in (corners, np.vstack([corners] * 3), np.vstack([corners, [[1, 0, 0], [2, 0, 0], [1, 0, 0]]])):
        document = fb.max_margin(rows, np.ones(len(rows)), norm).proof()
        assert document["value"] == "1"
        assert holds(document)


def test_data_of_any_size():
    for size in (1e-300, 1e-150, 1e150, 1e300):
        for norm in ("l1", "l2", "linf"):
            document = fb.max_margin(np.array(X) * size, Y, norm).proof()
            root = Fraction(document["value"])
            assert math.isclose(fb.max_margin(np.array(X), Y, norm).margin,
                                float(root / Fraction(size)) if norm != "l2" else math.sqrt(root / Fraction(size) ** 2))
    wide = fb.max_margin([[1e-100, 1.0], [1e-100, 1.5]], [1, 1], "l1").proof()
    assert len(wide["rows"][0][0]) > 100


@pytest.mark.parametrize("seed", [3, 38, 47, 57, 69])
def test_columns_of_unlike_units(seed):
    """At 10^±6 entries of w count by what they are to the rows, not by their size."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(6, 12)) * 10.0 ** rng.uniform(-6, 6, size=12)
    limit = fb.minimum_norm(Z, Z @ (rng.integers(-3, 4, size=12) * (rng.random(12) < 0.3) * 1.0), "l1")
    assert (limit.certified, limit.rung) == (True, "exact")


@pytest.mark.parametrize("seed", [3, 38, 47, 57, 69])
def test_floats_say_which_entries_count_to_the_rows(seed, monkeypatch):
    """Without a program that would say it again."""
    from fastbias.proofs import polytopes
    monkeypatch.setattr(polytopes.Polytope, "_without_ties", lambda *_: None)
    test_columns_of_unlike_units(seed)


def test_whole_rows_solve_for_what_is_largest_and_name_what_lacks_most():
    near, third = Fraction(3), Fraction(1, 3)
    whole = wholes.Whole(np.array([[1.0], [1], [1]]), np.array([1.0, 3, 2]), 0)
    assert whole.lacking([Fraction(0)]) == [1, 2, 0]
    assert whole.lacking([Fraction(2)]) == [1]
    line = wholes.Whole(np.array([[1.0, 1]]), np.array([1.0]), 0)
    assert line.meeting([0], [near, third]) == [1 - third, third]
    assert wholes.Whole(np.array([[1.0, 1]]), np.array([1.0]), 1).meeting([0], [near, third]) == [near, -2]     # a free one first
    free = wholes.Whole(np.array([[1.0, 1], [1, 1], [1, -1]]), np.ones(3), 1)
    assert free.balanced([0, 1, 2], [Fraction(v) for v in (5, 1, 2)]) == [1, 1, 2]
    assert free.balanced([0, 1, 2], [Fraction(v) for v in (5, 1, 4)], [0]) is not None
    assert sum(free.balanced([0, 1, 2], [Fraction(v) for v in (5, 1, 4)], [0])) == 0


def test_classes_and_intercepts():
    rng = np.random.default_rng(0)
    X, y = rng.integers(-3, 4, size=(12, 3)) * 1.0, np.arange(12) % 3
    X += 9 * np.eye(3)[y]
    for norm in ("l1", "l2", "linf"):
        for intercept in (False, True):
            document = fb.max_margin(X, y, norm, intercept=intercept).proof()
            assert document["free"] == ("3" if intercept else "0")
            assert len(document["rows"]) == 24
            assert holds(document)
    for found in (fb.separability(X, y), fb.separation(X, y), fb.separation(X[:, :1], y), fb.separability(X[:, :1], y)):
        assert holds(found.proof())


def test_separation_in_part():
    found = fb.separation([[1], [2], [3], [3], [4]], [0, 0, 0, 1, 1], weights=[1, 0, 2, 1, 1])
    document = found.proof()
    assert document["strict"] == [True, False, False, True]                        # without the row of weight 0
    assert holds(document)
    assert fb.separation([[1], [2], [3], [4]], [0, 1, 0, 1]).proof()["strict"] == [False] * 4


def test_limits_of_theory_have_the_proof_of_what_they_name():
    method = fb.methods.gradient_descent(0.1)
    direction = fb.Plan(X, Y, loss="exponential", method=method).limit()
    assert direction.proof()["value"] == fb.max_margin(X, Y).proof()["value"]
    point = fb.Plan([[1, 2, 0]], [1], loss="squared", method=method, start=[1, 0, 3]).limit()
    assert (point.rung, point.proof()["primal"]) == ("exact", ["1", "0", "3"])
    weights = fb.Plan(X, Y, loss="exponential", method=method, intercept=True).limit()
    assert weights.proof()["rows"][2] == ["1", "3/2", "-1"]
    # of what no equation holds exactly for, and of what is no margin, there is none
    for plan in (fb.Plan([[1, 2], [3, 4], [5, 6.5]], [1, 2, 4], loss="squared", method=method),
                 fb.Plan(X, Y, loss="exponential", method=fb.methods.steepest_descent(fb.norms.group([[0, 1]]), 0.1))):
        assert plan.limit().rung == "float"
    for method in (fb.methods.steepest_descent(fb.norms.lp(3), 0.1), fb.methods.mirror_descent(fb.potentials.power(3), 0.1)):
        assert fb.Plan(X, Y, loss="exponential", method=method).limit().rung == "enclosed"
    entropic = fb.Plan([[1, 2, 1]], [1], loss="squared", method=fb.methods.mirror_descent(fb.potentials.entropy, 0.1)).limit()
    assert entropic.proof()["start"] == ["1", "1", "1"]


@pytest.mark.parametrize(("make", "why"), [
    (lambda: fb.max_margin(X, Y, fb.norms.group([[0, 1]])), "norm must be l1, l2, linf, lp, quadratic, .* got group"),
    (lambda: fb.bregman_projection([[1, 2]], [1], fb.potentials.hypentropy([1.0, 2.0])), "of one number .* got hypentropy"),
    (lambda: fb.bregman_projection([[1, 2]], [1], "cosh", [1.0, 0.0]), "w0 must be 0 to have a proof in the cosh potential"),
    (lambda: fb.bregman_projection([[1, 1]], [0], "entropy"), "with finite multipliers"),
    (lambda: fb.minimum_norm([[1, 2]], [[1, 2]], "l1"), "limit must be a maximum margin"),
    (lambda: fb.minimum_norm([[1.0, 0.3], [3.0, 0.9]], [0.1, 0.3], "l2"), "no proof was found"),
    (lambda: fb.minimum_norm(np.ones((1, 101)), [1], fb.norms.quadratic(np.ones(101))), "X must have at most 100 columns"),
    (lambda: fb.minimum_norm(np.eye(251) + 0.1, np.ones(251), "l2"), "at most 250 equations decide"),
    (lambda: fb.max_margin(np.ones((1001, 300)), np.ones(1001)), "X must have at most 300000 numbers")])
def test_it_says_why_there_is_none(make, why):
    limit = make()
    assert limit.rung == "float"
    with pytest.raises(LookupError, match=why):
        limit.proof()


def test_a_limit_that_is_off_is_not_called_exact():
    import dataclasses
    limit = fb.max_margin(X, Y)
    off = dataclasses.replace(limit, margin=limit.margin * (1 + 1e-5))
    assert (limit.rung, off.rung) == ("exact", "float")
    point = fb.minimum_norm([[1, 2]], [1], "l2")
    assert dataclasses.replace(point, w=point.w + [0, 1e-5]).rung == "float"
    for norm in ("l1", "linf"):
        least = fb.minimum_norm([[1, 2]], [1], norm)
        assert (least.rung, dataclasses.replace(least, w=least.w * (1 + 1e-6)).rung) == ("exact", "float")
    assert dataclasses.replace(limit, dual=limit.dual[:2]).rung == "float"
    # what a solver says of multipliers is no more than a hint
    assert dataclasses.replace(limit, dual=np.array([1.0, 0, 0, 0])).rung == "exact"


def test_a_proof_is_the_callers_own():
    limit = fb.max_margin(X, Y)
    first = limit.proof()
    kept = copy.deepcopy(first)
    first["rows"][0][0] = "7"
    assert limit.proof() == kept


def slow(A, b):
    """Gauss's elimination in fractions; None where A is singular."""
    n = len(A)
    T = [[Fraction(v) for v in row] + [Fraction(right)] for row, right in zip(A, b, strict=True)]
    for k in range(n):
        at = next((i for i in range(k, n) if T[i][k]), None)
        if at is None:
            return None
        T[k], T[at] = T[at], T[k]
        T[k] = [v / T[k][k] for v in T[k]]
        T = [row if i == k else [u - row[k] * v for u, v in zip(row, T[k], strict=True)] for i, row in enumerate(T)]
    return [row[-1] for row in T]


@pytest.mark.parametrize("bits", [1, 3, 30, 53, 200])
@pytest.mark.parametrize("own", [True, False], ids=["lifting", "flint"])
def test_equations_are_solved_as_fractions_do(bits, own, monkeypatch):
    if own:
        monkeypatch.setattr(lifting, "_flint", lambda: None)
    elif lifting._flint() is None:
        pytest.skip("python-flint is not installed")
    rng = np.random.default_rng(bits)

    def whole(*shape):
        out = np.empty(shape, object)
        out.ravel()[:] = [int(rng.integers(2 ** min(bits, 62))) * 2 ** max(0, bits - 62) - 2 ** (bits - 1)
                          + int(rng.integers(2)) for _ in range(out.size)]
        return out
    singular, count = 0, 0
    for n in (1, 2, 3, 5, 8):
        for _ in range(8):
            A, b = whole(n, n), whole(n)
            truth, found = slow(A.tolist(), b.tolist()), lifting.solve(A, b)
            singular += truth is None
            assert (found is None) if truth is None else [Fraction(v, found[1]) for v in found[0]] == truth
            count += 1
    assert singular < count
    assert singular or bits > 3


def test_lifting_where_a_prime_divides_the_determinant(monkeypatch):
    monkeypatch.setattr(lifting, "_flint", lambda: None)
    p, q = lifting.PRIMES[:2]
    A = np.array([[p * q, 1], [0, 3]], object)
    assert lifting.solve(A, np.array([1, 1], object)) is not None
    assert lifting.solve(A * math.prod(lifting.PRIMES), np.array([1, 1], object)) is None
    assert lifting.solve(np.array([[2]], object), np.array([0], object)) == ([0], 1)


def test_floats_are_whole_numbers_over_powers_of_two():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 5)) * 10.0 ** rng.integers(-300, 300, size=(20, 5))
    A[0], A[1] = [0, 1, 2, 4, 8], [5e-324, 1.7e308, 0, -1, 0]
    W, shifts = wholes.binary(A)
    assert all(Fraction(w, 1 << int(s)) == Fraction(a) for row, s, floats in zip(W, shifts, A, strict=True)
               for w, a in zip(row, floats, strict=True))
    assert (W[0].tolist(), shifts[0]) == ([0, 1, 2, 4, 8], 0)


@pytest.mark.parametrize("digits", [1, 3998, 3999, 4000, 9001, 60_000])
def test_numbers_of_any_length_are_written_and_read(digits):
    for value in (10 ** digits - 1, 10 ** digits, -(10 ** digits) - 1, 7 * 10 ** digits):
        text = documents.text(value)
        assert text.lstrip("-").isdigit()
        assert checker.number(text, "value") == value
    assert checker.number(documents.text(Fraction(1, 3 ** digits)), "value") == Fraction(1, 3 ** digits)


def test_a_folder_called_flint_is_no_library(tmp_path):
    (tmp_path / "flint").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from fastbias.proofs import lifting; print(lifting._flint())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("None", "<module"))
    assert str(tmp_path) not in done.stdout


def test_weights_on_copies_stay_where_they_are():
    import dataclasses
    rows = np.array([[1.0, 2], [1, 2], [1, 2], [3, -1], [1e3, 1e3]]) / 8
    limit = fb.max_margin(rows, np.ones(5))
    heavy, light = limit.dual[:3].sum(), limit.dual[3]
    spread = np.array([heavy / 2, heavy / 4, heavy / 4, light, 0.0])
    document = dataclasses.replace(limit, dual=spread).proof()
    assert np.array([Fraction(v) for v in document["dual"]], float) == pytest.approx(spread, abs=1e-9)
    assert holds(document)
    # and where floats say nonsense, too
    for nonsense in ([1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0], [0.2] * 5):
        assert dataclasses.replace(limit, dual=np.array(nonsense)).rung == "exact"


def test_norms_of_several_lists_have_no_proof():
    limit = fb.max_margin([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]], [1, -1], norm=fb.norms.group([[0, 2], [1]]))
    with pytest.raises(LookupError, match="norm must be l1"):
        limit.proof()
    assert limit.rung == "float"


def test_programs_without_ties_find_proofs_by_themselves(monkeypatch):
    """Where floats say nothing, in ℓ1 and ℓ∞."""
    from fastbias.proofs import polytopes
    monkeypatch.setattr(polytopes.Polytope, "_basis", lambda *_: None)
    told = [(named, isinstance(proof, dict)) for named, _, proof in
            answers(range(48), (10, 7), ("margin l1", "margin linf", "norm l1", "norm linf"))]
    assert len(told) >= 40
    assert all(good for _, good in told), told


@pytest.mark.parametrize("way", ["floats", "exact"])
def test_each_way_to_weights_that_surround_finds_them_by_itself(way, monkeypatch):
    """From a solver's weights, whatever the units of rows; or by the simplex method in whole numbers."""
    from fastbias.proofs import surrounds
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        Z = rng.normal(size=(9, 3)) * 2.0 ** rng.integers(-30, 30, size=(9, 1))
        told = fb.separability(Z, np.ones(9))
        found += [told] * (told.w is None)
    assert len(found) >= 5

    def refuses(*_):
        raise ArithmeticError
    if way == "floats":
        monkeypatch.setattr(surrounds.exact, "decide", refuses)
    else:
        monkeypatch.setattr(surrounds, "balanced", lambda *_: None)
    assert all(holds(told.proof()) for told in found)
    # weights on more rows than decide, which are kept as they are
    import dataclasses
    for one, two in itertools.pairwise(found):
        Z = np.vstack([one.rows.dense(), two.rows.dense()])
        both = dataclasses.replace(fb.separability(Z, np.ones(18)), dual=np.append(one.dual, two.dual) / 2)
        assert holds(both.proof())
