"""Limits that have no end of digits, enclosed to 2⁻¹⁰⁰: the checker's logarithms, and documents beside a twin by mpmath."""
import copy
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import fastbias as fb
from fastbias.proofs import checker
from tests.helpers.proved import ENCLOSED, altered, holds, parted
from tests.proofs.test_altered import alone, same
from tests.proofs.test_proofs import answers

X, Y = np.array([[3.0, 1], [1, 2], [-1, -1.5], [4, 4]]), [1, 1, -1, 1]


def sealed(document, **lines):
    """The document with other lines, sealed anew by whoever changed them."""
    new = {**copy.deepcopy(document), **lines}
    return {**new, "seal": checker.seal(new)}


def margin(p=3.0):
    return fb.max_margin(X, Y, fb.norms.lp(p)).proof()


def test_logarithms_are_as_near_as_they_say():
    rng = np.random.default_rng(0)
    numbers = [Fraction(a) for a in (1, 2, 3, "1/2", "2/3", "3/2", 10 ** 300, "99999999999/100000000000")]
    numbers += [Fraction(int(rng.integers(1, 2 ** 60)), int(rng.integers(1, 2 ** 60))) ** int(k) for k in rng.integers(1, 40, 60)]
    with mpmath.workprec(4000):
        for x in [*numbers, *(1 / x for x in numbers)]:
            real = mpmath.mpf(x.numerator) / x.denominator
            for found, true in ((checker.log(x), mpmath.log(real)), (checker.log(x, True), mpmath.asinh(real)),
                                (checker.log(-x, True), -mpmath.asinh(real))):
                assert abs(mpmath.mpf(found.numerator) / found.denominator - true) < mpmath.mpf(2) ** -200, x
    assert checker.log(Fraction(), True) == 0
    for x in (Fraction(), Fraction(-1, 3)):
        with pytest.raises(ValueError, match="line 'primal': it leaves the domain"):
            checker.log(x)


def test_random_problems_are_enclosed():
    told = {}
    for named, found, proof in answers(range(60), (10, 7), ENCLOSED):
        kind = " ".join(named.split()[1:3])
        told.setdefault(kind, []).append(isinstance(proof, dict))
        if isinstance(proof, dict):
            assert (found.rung, found.certified) == ("enclosed", True), named
            assert fb.proofs.check(json.loads(json.dumps(proof))), named
            assert holds(proof), named
    assert set(told) == set(ENCLOSED)
    assert sum(map(sum, told.values())) >= 0.95 * sum(map(len, told.values())), told


@pytest.mark.exhaustive
def test_many_random_problems_are_enclosed(tmp_path):
    """Up to 100 × 30: the checker takes each in a process of its own."""
    good = total = 0
    for named, _, proof in answers(range(6000, 6200), (100, 30), ENCLOSED):
        total += 1
        if not isinstance(proof, dict):
            print(f"float: {named}: {proof}")
            continue
        good += 1
        (tmp_path / "proof.json").write_text(json.dumps(proof))
        assert alone(tmp_path / "proof.json")[0] == 0, named
    print(f"{good} of {total} enclosed")
    assert good >= 0.95 * total


def test_altered_documents_are_refused():
    kinds, still = {}, 0
    for i, (named, _, document) in enumerate(answers(range(200, 236), (8, 6), ENCLOSED)):
        rng = np.random.default_rng(i)
        for _ in range(14 * isinstance(document, dict)):
            what, new = altered(document, rng)
            if same(new, document):
                continue
            with pytest.raises(ValueError, match="the proof fails at line '") as told:
                checker.check(new)
            kinds[what] = kinds.get(what, 0) + 1
            if "at line 'seal'" in str(told.value) and what != "type":
                new["seal"] = checker.seal(new)
                assert checker.check(new), (named, what)
                assert holds(new), (named, what)
                still += 1
    assert sum(kinds.values()) > 300
    assert len(kinds) == 13, kinds


def test_values_that_are_known():
    # of rows e1, e2 the w with Zw = 1 is (1, 1), and γ^−p = ‖w‖_p^p = 2
    for p in (1.5, 3.0):
        document = fb.max_margin([[1, 0], [0, 1]], [1, 1], fb.norms.lp(p)).proof()
        assert float(Fraction(document["value"])) == pytest.approx(0.5, rel=1e-15)
        assert abs(2 * Fraction(document["value"]) - 1) < Fraction(1, 2 ** 98)
        assert document["matrix"] == str(Fraction(p))
    entropic = fb.bregman_projection([[1, 1]], [1], "entropy").proof()
    assert (entropic["norm"], entropic["matrix"]) == ("entropy", None)
    assert all(abs(Fraction(v) - Fraction(1, 2)) < Fraction(1, 2 ** 100) for v in entropic["primal"])
    # ν = log ½, and ⟨ν, y − Xw0⟩ = −log ½
    assert abs(checker.log(Fraction(2)) - Fraction(entropic["value"])) < Fraction(1, 2 ** 100)


def test_a_w_that_is_off_by_little_more_is_refused():
    """Each number moved by 2⁻⁹⁹ of itself is refused, by 2⁻¹¹⁰ of one entry of w it is still an enclosure."""
    document = margin()
    near, far = 1 + Fraction(1, 2 ** 110), 1 + Fraction(1, 2 ** 99)
    for j in range(2):
        for scale, good in ((near, True), (far, False)):
            w = [Fraction(v) for v in document["primal"]]
            w[j] *= scale
            new = sealed(document, primal=[str(v) for v in w])
            if good:
                assert checker.check(new)
                assert holds(new)
            else:
                with pytest.raises(ValueError, match="line '(dual|value)'"):
                    checker.check(new)
    with pytest.raises(ValueError, match="line 'dual'"):
        checker.check(sealed(document, value=str(Fraction(document["value"]) * far)))
    # rows with slack have no weight
    weights = [Fraction(v) for v in document["dual"]]
    slack = weights.index(0)
    weights = [v * (1 - Fraction(1, 2 ** 90)) for v in weights]
    weights[slack] += 1 - sum(weights)
    with pytest.raises(ValueError, match="line '(dual|value)'"):
        checker.check(sealed(document, dual=[str(v) for v in weights]))


@pytest.mark.parametrize(("lines", "line"), [
    ({"matrix": "1"}, "matrix"), ({"matrix": "1/2"}, "matrix"), ({"matrix": "-3"}, "matrix"), ({"matrix": None}, "matrix"),
    ({"matrix": [["3"]]}, "matrix"), ({"matrix": str(1 + Fraction(1, 2 ** 61))}, "matrix"), ({"matrix": "4"}, "dual"),
    ({"norm": "l2"}, "matrix"), ({"norm": "entropy"}, "matrix"), ({"norm": "cosh", "matrix": None}, "dual"),
    ({"norm": "hypentropy"}, "dual"), ({"norm": "power"}, "norm"), ({"norm": ["lp"]}, "norm"), ({"value": "0"}, "value"),
    ({"value": "-1"}, "value")])
def test_what_a_margin_is_not(lines, line):
    with pytest.raises(ValueError, match=f"the proof fails at line '{line}'"):
        checker.check(sealed(margin(), **lines))


def test_domains_and_starts():
    found = fb.bregman_projection([[1.0, 1, 1]], [1], fb.potentials.hypentropy(0.5), [1.0, -2, 0.5]).proof()
    assert holds(found)
    for bad in ("0", "-1/2", "1/2000000000000000000000"):
        with pytest.raises(ValueError, match="line 'matrix': it is too small"):
            checker.check(sealed(found, matrix=bad))
    with pytest.raises(ValueError, match="line 'dual'"):
        checker.check(sealed(found, matrix="1/3"))
    entropic = fb.bregman_projection([[1.0, 1, 2]], [1], "entropy", [1.0, 2, 0.5]).proof()
    assert holds(entropic)
    for start in (["-1", "2", "1/2"], ["0", "2", "1/2"]):
        with pytest.raises(ValueError, match="line 'value'"):
            checker.check(sealed(entropic, start=start))
    # a w off the domain that meets the equations
    with pytest.raises(ValueError, match="line 'primal': it leaves the domain"):
        checker.check(sealed(entropic, primal=["-2", "1", "1"]))
    for psi in ("cosh", fb.potentials.power(3)):
        document = fb.bregman_projection([[1.0, 1, 2]], [1], psi).proof()
        assert holds(document)
        with pytest.raises(ValueError, match="line 'start': it must be 0"):
            checker.check(sealed(document, start=["0", "1", "0"]))
    # entries of 0 must be 0 on both sides
    flat = fb.minimum_norm([[1.0, 2, 0]], [1], fb.norms.lp(3)).proof()
    assert flat["primal"][2] == "0"
    with pytest.raises(ValueError, match="line 'primal'"):
        checker.check(sealed(flat, primal=[*flat["primal"][:2], "1"]))


def test_intercepts_copies_and_scales():
    rows = np.array([[1.0, 2], [1, 2], [3, -1], [1e3, 1e3]]) / 8
    for p in (1.25, 4 / 3, 3, 7.3):
        for size in (1e-100, 1.0, 1e100):
            assert holds(fb.max_margin(rows * size, np.ones(4), fb.norms.lp(p)).proof())
        free = fb.max_margin([[3, 0], [5, 1], [0, 0.5]], [1, 1, 0], fb.norms.lp(p), intercept=True)
        assert (free.rung, free.proof()["free"]) == ("enclosed", "1")
        assert holds(free.proof())
    classes = fb.max_margin([[3, 0.0], [0, 1], [-1, -1]], [0, 1, 2], fb.norms.lp(3), intercept=True)
    assert (classes.rung, classes.proof()["free"]) == ("enclosed", "3")
    least = fb.minimum_norm([[1.0, 2, 3], [2, 1, 0.5]], [1, 3], fb.norms.lp(1.5), intercept=True)
    assert holds(least.proof())


def test_a_limit_that_is_off_is_not_called_enclosed():
    import dataclasses
    limit = fb.max_margin(X, Y, fb.norms.lp(3))
    for off in (1 + 1e-6, 1 - 1e-6):
        assert dataclasses.replace(limit, margin=limit.margin * off).rung == "float"
    point = fb.bregman_projection([[1, 2]], [1], "entropy")
    assert point.rung == "enclosed"
    assert dataclasses.replace(point, w=point.w + [0, 1e-5]).rung == "float"
    # what solvers say of multipliers is no more than a hint
    assert dataclasses.replace(limit, dual=limit.dual * [1 + 1e-5, 1 - 1e-5, 1, 1]).rung == "enclosed"


def test_rows_that_floats_forgot_or_added():
    """Whatever rows are said to have weight, those that hold w are found."""
    import dataclasses
    rng = np.random.default_rng(3)
    Z = rng.normal(size=(12, 4)) + [2.0, 0, 0, 0]
    limit = fb.max_margin(Z, np.ones(12), fb.norms.lp(1.5))
    held, others = np.flatnonzero(limit.dual), np.flatnonzero(limit.dual == 0)
    assert len(held) > 1
    for n in held:
        forgot = limit.dual * (np.arange(12) != n)
        assert dataclasses.replace(limit, dual=forgot / forgot.sum()).rung == "enclosed", n
    for n in others:
        assert dataclasses.replace(limit, dual=limit.dual + 1e-6 * (np.arange(12) == n)).rung == "enclosed", n


def test_the_potential_must_be_the_packages_own():
    own = fb.potentials.entropy
    import dataclasses
    other = dataclasses.replace(own, name="entropy")
    assert fb.bregman_projection([[1, 2]], [1], other).rung == "float"
    assert fb.bregman_projection([[1, 2]], [1], own).rung == "enclosed"


def test_the_twin_sees_a_gap():
    w, zero = [Fraction(1, 3)], [Fraction()]
    assert parted("lp", "3", w, zero, [Fraction(1, 9)]) < 2 ** -600
    assert parted("lp", "3", w, zero, [Fraction(1, 9) + Fraction(1, 2 ** 20)]) > 2 ** -45


@pytest.mark.parametrize(("p", "seed"), [(5.0, 28), (4.25, 20), (6.9, 9), (1.25, 3)])
def test_columns_of_unlike_units(p, seed):
    """At 10^±5: steps by floats see the largest columns alone, and λ says nothing of w that are small in ℓp."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(14, 6)) * 10.0 ** rng.uniform(-5, 5, size=6)
    w = rng.normal(size=6) / np.abs(X).max(axis=0)
    found = fb.max_margin(X, np.where(X @ w >= 0, 1, -1), fb.norms.lp(p))
    assert (found.certified, found.rung) == (True, "enclosed")
    assert holds(found.proof())
    least = fb.minimum_norm(X[:4], [1.0, -1, 2, 1], fb.norms.lp(p))
    assert (least.certified, least.rung) == (True, "enclosed")
    assert holds(least.proof())


@pytest.mark.parametrize(("seed", "most"), [(45, (10, 7)), *((seed, (100, 30)) for seed in (9186, 9230, 9548, 9560, 9724))])
def test_problems_that_had_no_proof(seed, most):
    """Columns of unlike units, and w with entries that are 0."""
    (_, found, proof), = answers([seed], most, ENCLOSED)
    assert isinstance(proof, dict), proof
    assert found.rung == "enclosed"
    assert holds(proof)


def test_elimination_is_exact_where_rows_depend():
    from decimal import Context, Decimal, localcontext

    from fastbias.proofs import smooth
    with localcontext(Context(prec=smooth.DIGITS)):
        A = smooth.decimals(np.array([[0.0, 2, 1], [2, 0, 1e-30], [0, 4, 2]]))
        x = smooth._eliminated(A, A @ smooth.decimals(np.array([1.0, 2, 3])))
        off = A @ x - A @ smooth.decimals(np.array([1.0, 2, 3]))
    assert max(map(abs, off)) < Decimal(10) ** -100
    assert 0 in x.tolist()
