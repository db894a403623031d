"""Maximum margins of ReLU networks, enclosed to 2⁻¹⁰⁰: beside a twin that looks at all units, closed forms, and forged documents."""
import dataclasses
import json
import pathlib
import subprocess
import sys
from fractions import Fraction
from itertools import combinations

import mpmath
import numpy as np
import pytest

import fastbias as fb
from fastbias.proofs import checker, network_checker
from fastbias.running import cli
from tests.helpers import relu as naive
from tests.helpers.proved import ODD, altered, deep, places
from tests.proofs.test_altered import same

HARD = "small", "shift"            # of 1e-6 or 1e3, where float64 does not know the faces


def asked(seed, most=None):
    """Points and labels of several kinds, and the rules of a margin."""
    X, y, kind, _ = naive.problem(seed, most)
    _, first, place = np.unique(X, axis=0, return_index=True, return_inverse=True)
    return X, np.sign(y)[first][place.ravel()], kind, naive.TASKS[3 + seed // 14 % 3][1:]


def answers(seeds, most=None):
    """Margins, and what they are of."""
    for seed in seeds:
        X, y, kind, rules = asked(seed, most)
        if len(set(y)) == 2:
            yield f"{seed}: {kind} {X.shape} {rules}", kind, fb.relu.margin(X, y, *rules)


def real(x):
    x = Fraction(x)
    return mpmath.mpf(x.numerator) / x.denominator


def largest(Z, free, c):
    """max |Σ c_n [⟨z_n, v⟩]₊| of ‖v‖ = 1: at the extreme of each pattern on each flat, whether it lies there or not, as any is a
    unit.
    """
    D, top = Z.cols, mpmath.mpf(0)
    patterns = [[i >> j & 1 for j in range(Z.rows)] for i in range(1, 2 ** Z.rows)]
    for k in range(int(free), D):
        for rows in combinations(range(Z.rows), k):
            A = mpmath.matrix([[Z[i, j] for j in range(D)] for i in rows]) if rows else mpmath.zeros(1, D)
            P = mpmath.eye(D)                                # onto what is orthogonal to these rows: Gram and Schmidt
            for i in range(A.rows if rows else 0):
                a = P * A[i, :].T
                size = (a.T * a)[0]
                P = P - a * a.T / size if size > mpmath.mpf(10) ** -40 else P
            values, Q = mpmath.eigsy(P)
            on = [j for j in range(D) if values[j] > 0.5]
            if not on:
                continue
            E = mpmath.matrix([[Q[i, j] for j in on] for i in range(D)])
            G = E[:D - free, :].T * E[:D - free, :]
            if abs(mpmath.det(G)) < mpmath.mpf(10) ** -40:
                continue
            for pattern in patterns:
                h = E.T * (Z.T * mpmath.matrix([v * int(s) for v, s in zip(c, pattern, strict=True)]))
                if max(map(abs, h)) == 0:
                    continue
                u = mpmath.lu_solve(G, h)
                v = E * u / mpmath.sqrt((u.T * G * u)[0])
                for way in (1, -1):
                    at = way * Z * v
                    top = max(top, abs(sum(w * max(a, 0) for w, a in zip(c, at, strict=True))))
    return top


def holds(document):
    """Whether the network and λ prove the margin, by all units and not by cells."""
    with mpmath.workdps(70):
        Z = mpmath.matrix([[real(v) for v in row] for row in document["rows"]])
        y, lam, free = [int(v) for v in document["goal"]], [real(v) for v in document["dual"]], int(document["free"])
        o, value = document["offset"], real(document["value"])
        exact = [Fraction(v) for v in document["dual"]]
        if sum(exact) != 1 or min(exact) < 0 or not {*y} <= {1, -1}:
            return False
        if (o is not None or free) and sum(a * b for a, b in zip(y, exact, strict=True)):
            return False
        f, cost = [Fraction(o or 0)] * len(y), mpmath.mpf(0)
        for a, *v in [[Fraction(x) for x in unit] for unit in document["primal"]]:
            rows = [[Fraction(x) for x in row] for row in document["rows"]]
            f = [b + a * max(0, sum(p * q for p, q in zip(row, v, strict=True))) for b, row in zip(f, rows, strict=True)]
            cost += abs(real(a)) * mpmath.sqrt(sum(real(x) ** 2 for x in v[:len(v) - free]))
        top = largest(Z, free, [a * b for a, b in zip(y, lam, strict=True)])
        return (min(a * b for a, b in zip(y, f, strict=True)) >= 1 and cost * value <= 1 + mpmath.mpf(2) ** -100
                and bool(top <= value * (1 + mpmath.mpf(10) ** -55)) and bool(top * cost >= 1 - mpmath.mpf(10) ** -50))


def test_random_problems_are_enclosed():
    told = []
    for named, kind, found in answers(range(0, 28, 2), 8):
        told.append((kind, found.rung))
        if found.rung == "enclosed":
            document = found.proof()
            assert fb.proofs.check(json.loads(json.dumps(document))), named
            assert float(Fraction(document["value"])) == pytest.approx(found.margin, rel=1e-9)
    good = [rung == "enclosed" for kind, rung in told if kind not in HARD]
    assert len(good) >= 8
    assert sum(good) >= 0.9 * len(good), told


@pytest.mark.slow
def test_larger_problems_are_enclosed(tmp_path):
    """Up to 20 points of the plane and 12 of space; the checker takes each in a process of its own."""
    told = []
    for named, kind, found in answers(range(100, 184)):
        told.append((kind, found.rung))
        if found.rung == "enclosed":
            (tmp_path / "proof.json").write_text(json.dumps(found.proof()))
            assert alone(tmp_path / "proof.json") == (0, f"proved: network margin, of {len(found.dual)} rows\n"), named
    good = [rung == "enclosed" for kind, rung in told if kind not in HARD]
    print(f"{sum(good)} of {len(good)} enclosed, and {sum(rung == 'enclosed' for _, rung in told)} of {len(told)} with hard ones")
    assert sum(good) >= 0.9 * len(good), told


@pytest.mark.parametrize("seed", [0, 1, 14, 28, 44])
def test_no_unit_sees_more_than_a_document_says(seed):
    X, y, _, rules = asked(seed, 5)
    document = fb.relu.margin(X, y, *rules).proof()
    assert holds(document)
    # and units drawn at random, most of them on hyperplanes of points
    V = naive.random_units(np.random.default_rng(seed), X, rules[0], 50_000)
    lam = np.array([float(Fraction(v)) for v in document["dual"]])
    assert np.abs(naive.dual_function(V, X, lam * y)).max() <= float(Fraction(document["value"])) * (1 + 1e-12)


def test_margins_that_are_known():
    root = Fraction(fb.relu.margin([3.0], [-1]).proof()["value"])         # one unit along (x, 1)
    assert abs(root ** 2 - 10) < Fraction(1, 2 ** 96)
    slope = fb.relu.margin([3.0, -4.0], [1, -1], "free", True).proof()     # half the distance
    assert abs(Fraction(slope["value"]) - Fraction(7, 2)) < Fraction(1, 2 ** 98)
    assert slope["free"] == "1"
    constant = fb.relu.margin([[3.0, 1], [1, 2]], [1, 1]).proof()
    assert (constant["free"], constant["offset"]) == ("0", None)
    # of four units, as it was certified in floats
    xor = fb.relu.margin([[0, 0], [1, 1], [0, 1], [1, 0]], [-1, -1, 1, 1])
    assert float(Fraction(xor.proof()["value"])) == pytest.approx(xor.margin, rel=1e-14)
    assert holds(xor.proof())


def test_copies_of_points_and_one_input():
    X = np.array([-1.0, 0, 1, 1, -1])
    for rules in naive.TASKS[3:]:
        found = fb.relu.margin(X, [1, -1, 1, 1, 1], *rules[1:])
        document = found.proof()
        assert len(document["rows"]) == 5
        assert document["dual"].count("0") >= 2
        assert holds(document)


def test_altered_documents_are_refused():
    kinds, still = {}, 0
    for i, (named, _, found) in enumerate(answers(range(0, 40, 4), 5)):
        rng, document = np.random.default_rng(i), found._proved
        for _ in range(16 * isinstance(document, dict)):
            what, new = altered(document, rng)
            if same(new, document):
                continue
            with pytest.raises(ValueError, match="the proof fails at line '") as told:
                fb.proofs.check(new)
            kinds[what] = kinds.get(what, 0) + 1
            if "at line 'seal'" in str(told.value) and what != "type":
                new["seal"] = checker.seal(new)
                assert fb.proofs.check(new), (named, what)
                assert still > 12 or holds(new), (named, what)
                still += 1
    assert sum(kinds.values()) > 100
    assert len(kinds) >= 11, kinds


def test_numbers_that_are_moved_are_seen():
    """Each number by itself: what is sealed again is taken only where it still proves the margin."""
    document = fb.relu.margin([[0, 0], [1, 1], [0, 1.0], [1, 0]], [-1, -1, 1, 1]).proof()
    moved = 1 + Fraction(1, 2 ** 60)
    for key in ("primal", "dual", "cells", "value"):
        told, kept = [], {}
        new = json.loads(json.dumps(document))
        for where, at in places({key: new[key]} if key != "value" else new):
            if where[at] == "0" or (key == "value" and where is not new):
                continue
            old, where[at] = where[at], str(Fraction(where[at]) * moved)
            try:
                network_checker.check({**new, "seal": checker.seal(new)})
                told.append(True)
            except ValueError as why:
                kept[str(why).split("'")[1]] = True
                told.append(False)
            where[at] = old
        assert not all(told), key
        assert key == "cells" or not any(told), (key, told)


POINT = {"format": checker.FORMAT, "claim": "network margin", "rows": [["1"]], "free": "0", "goal": ["1"], "offset": None,
         "primal": [["1", "1"]], "dual": ["1"], "value": "1", "tree": "0 . . .", "cells": [["1", "0"], ["1", "1"], ["1", "0"]]}
# f = 2[x + 1]₊/2 − 1 at −1 and 1: c = (½, −½), and its negative
SLOPE = {**POINT, "rows": [["1", "1"], ["-1", "1"]], "free": "1", "goal": ["1", "-1"], "offset": "-1", "primal": [["1", "1", "1"]],
         "dual": ["1/2", "1/2"], "tree": "0 . . 1 . .",
         "cells": [["1", "0", "0"], ["1", "1/2", "-1/2"], ["1", "0", "0"], ["1", "-1/2", "1/2"]]}
# x = 1 and 2 on the line, without biases: a cell of x < 0 < 2x holds nothing
PAIR = {**POINT, "rows": [["1"], ["2"]], "goal": ["1", "1"], "dual": ["1", "0"], "tree": "0 . 1 . . .",
        "cells": [["1", "0", "0"], ["0", "2", "-1"], ["1", "1", "0"], ["1", "0", "0"]]}
GOOD = {"point": POINT, "slope": SLOPE, "pair": PAIR, "offset": {**SLOPE, "free": "0", "value": "3/4", "primal": [["4/3", "1", "1"]]}}
TAKEN = "point", "slope", "pair"
FAR = f"{2 ** 100 + 1}/{2 ** 100}"
FORGED = [
    ("point", {"claim": "maximum margin"}, "claim"), ("point", {"claim": None}, "claim"), ("point", {"note": "1"}, "note"),
    ("point", {"format": "fastbias proof 2"}, "format"), ("point", {"rows": []}, "rows"), ("point", {"rows": [[]]}, "free"),
    ("point", {"rows": "1"}, "rows"), ("point", {"rows": [None]}, "rows"), ("point", {"rows": [["1/3"]]}, "rows"),
    ("point", {"primal": []}, "primal"), ("point", {"primal": None}, "primal"), ("point", {"cells": []}, "cells"),
    ("point", {"cells": {"1": "0"}}, "cells"), ("point", {"tree": ["0", ".", ".", "."]}, "tree"), ("point", {"tree": deep(5000)}, "tree"),
    ("point", {"free": "1"}, "free"), ("point", {"free": "-1"}, "free"), ("slope", {"free": "2"}, "free"), ("point", {"free": 0}, "free"),
    ("point", {"goal": ["2"]}, "goal"), ("point", {"goal": ["0"]}, "goal"), ("point", {"goal": ["1/2"]}, "goal"),
    ("point", {"goal": []}, "goal"), ("point", {"goal": ["-1"]}, "primal"), ("point", {"value": "0"}, "value"),
    ("point", {"value": "-1"}, "value"),
    # weights: of another sum, under 0, that an offset feels
    ("point", {"dual": ["1/2"]}, "dual"), ("point", {"dual": ["2"]}, "dual"), ("pair", {"dual": ["2", "-1"]}, "dual"),
    ("point", {"offset": "0"}, "dual"), ("slope", {"dual": ["1", "0"]}, "dual"),
    # units: a margin under 1, a size that is not counted, a cost over that of the best
    ("point", {"primal": [["1", "1/2"]]}, "primal"), ("point", {"primal": [["-1", "1"]]}, "primal"), ("point", {"primal": [["1", "-1"]]}, "primal"),
    ("slope", {"offset": "0"}, "primal"), ("slope", {"offset": None}, "primal"), ("point", {"primal": [["1", FAR]]}, "value"),
    ("point", {"primal": [["1", "1"], ["1", "1"], ["-1", "1"]]}, "value"), ("slope", {"free": "0"}, "value"),
    ("point", {"primal": [["1"]]}, "primal"), ("point", {"value": "2"}, "value"), ("point", {"value": FAR}, "value"),
    # cells: too large, by much and by little; no cell at all, or one that is left out
    ("point", {"value": "1/2"}, "cells"), ("point", {"value": f"{2 ** 100 - 1}/{2 ** 100}"}, "cells"), ("point", {"tree": ""}, "cells"),
    ("point", {"tree": "."}, "cells"),
    ("point", {"tree": "1 . . ."}, "cells"), ("pair", {"tree": "1 . 0 . . ."}, "cells"),
    ("point", {"cells": [["1", "0"], ["1", "1"]]}, "cells"), ("point", {"cells": [["1", "1"], ["1", "0"], ["1", "0"]]}, "cells"),
    # t on the wrong side of c, of 0
    ("point", {"cells": [["1", "0"], ["1", "1/2"], ["1", "0"]]}, "cells"), ("point", {"cells": [["1", "1/9"], ["1", "1"], ["1", "0"]]}, "cells"),
    ("point", {"cells": [["1", "0"], ["1", "1"], ["1", "1/2"]]}, "cells"), ("slope", {"tree": "1 . . 1 . ."}, "cells"),
    # t under c where no sign is known: of c > 0, and of c < 0
    ("point", {"tree": ". .", "cells": [["1", "0"]] * 2}, "cells"),
    ("slope", {"tree": "0 . . 1 . .", "cells": [["1", "0", "0"], ["1", "1/2", "-1"], ["1", "0", "0"], ["1", "-1", "1/2"]]}, "cells"),
    # what shows that cells are empty: nothing, less than nothing, what is not 0, a row of zeros
    ("point", {"cells": [["1", "0"], ["0", "0"], ["1", "0"]]}, "cells"), ("point", {"cells": [["1", "0"], ["-1", "0"], ["1", "0"]]}, "cells"),
    ("point", {"cells": [["-1", "0"], ["1", "1"], ["1", "0"]]}, "cells"), ("point", {"cells": [["1", "0"], ["0", "1"], ["1", "0"]]}, "cells"),
    ("pair", {"cells": [["1", "0", "0"], ["0", "1", "-1"], ["1", "1", "0"], ["1", "0", "0"]]}, "cells"),
    ("pair", {"cells": [["1", "0", "0"], ["0", "-2", "1"], ["1", "1", "0"], ["1", "0", "0"]]}, "cells"),
    ("pair", {"rows": [["1"], ["0"]], "cells": [["1", "0", "0"], ["0", "0", "-1"], ["0", "0", "1"], ["1", "0", "0"]]}, "primal"),
    # what is free must not be felt
    ("slope", {"cells": [["1", "0", "0"], ["1", "1/2", "-1/3"], ["1", "0", "0"], ["1", "-1/2", "1/2"]]}, "cells")]


def sealed(document):
    return {**document, "seal": checker.seal(document)}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_right_is_taken(name):
    assert fb.proofs.check(sealed(GOOD[name]))
    assert holds(GOOD[name])
    with pytest.raises(ValueError, match="line 'seal'"):
        fb.proofs.check({**GOOD[name], "seal": "7"})


@pytest.mark.parametrize(("name", "lines", "line"), FORGED)
def test_what_is_forged_is_refused(name, lines, line):
    new = {**GOOD[name], **lines}
    new["seal"] = "0" if lines.get("tree") and not isinstance(lines["tree"], str) else checker.seal(new)
    with pytest.raises(ValueError, match=f"the proof fails at line '{line}'"):
        network_checker.check(new)


def test_a_row_of_zeros_empties_no_cell():
    """It is on both sides of all units, and t of it says nothing of any."""
    new = {**POINT, "rows": [["2"], ["0"]], "goal": ["1", "-1"], "offset": "-1", "dual": ["1/2", "1/2"], "primal": [["1", "1"]],
           "tree": "0 . . 1 . .", "cells": [["1", "0", "0"], ["1", "1/2", "0"], ["1", "0", "0"], ["1", "0", "1/2"]]}
    assert fb.proofs.check(sealed(new))
    for t in ("1", "-1"):
        cells = [*new["cells"][:1], ["0", "0", t], *new["cells"][2:]]
        with pytest.raises(ValueError, match="line 'cells'"):
            fb.proofs.check(sealed({**new, "cells": cells}))
    false = {**new, "value": "1/4", "tree": "1 . . 1 . .", "cells": [["0", "0", "-1"], ["0", "0", "1"]] * 2}
    with pytest.raises(ValueError, match="'cells': one is empty"):
        fb.proofs.check(sealed(false))


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_what_is_no_number_is_refused_wherever_it_stands(odd):
    document = sealed(json.loads(json.dumps(SLOPE)))
    for where, at in places(document):
        kept, where[at] = where[at], odd
        with pytest.raises(ValueError, match="the proof fails at line '"):
            fb.proofs.check(document)
        where[at] = kept
    assert fb.proofs.check(document)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"claim": []}, {"claim": "network margin"}, deep(50_000)])
def test_what_is_no_document_is_refused(document):
    for check in (fb.proofs.check, network_checker.check):
        with pytest.raises(ValueError, match="the proof fails at line '"):
            check(document)


def alone(path):
    """The exit code and what is said, of the checker by itself."""
    done = subprocess.run([sys.executable, "-I", "-S", network_checker.__file__, str(path)], capture_output=True, text=True,
                          cwd=path.parent)
    return done.returncode, done.stdout + done.stderr


def test_the_checker_needs_python_alone(tmp_path, capsys):
    text = pathlib.Path(network_checker.__file__).read_text()
    assert len(text.splitlines()) <= 150
    assert [line for line in text.splitlines() if "import " in line] == [
        "import os", "import sys", "from collections.abc import Iterable", "from fractions import Fraction", "from math import isqrt",
        "from operator import mul", "    from fastbias.proofs import checker"]
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(fb.relu.margin([3.0, -4.0], [1, -1]).proof()))
    assert alone(path) == (0, "proved: network margin, of 2 rows\n")
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out == "proved: network margin, of 2 rows\n"
    path.write_text(path.read_text().replace('"value": "', '"value": "1'))
    for code, told in (alone(path), (cli.main(["check", str(path)]), capsys.readouterr().err)):
        assert code == 1
        assert told.startswith("refused: the proof fails at line '")
    assert alone(tmp_path / "nobody.json")[0] == 1
    # the other checker says that it does not know the claim
    done = subprocess.run([sys.executable, "-I", "-S", checker.__file__, str(path)], capture_output=True, text=True)
    assert done.stderr.startswith("refused: the proof fails at line 'claim'")


def test_it_says_why_there_is_none():
    found = fb.relu.margin([[0, 0], [1, 1], [0, 1], [1, 0]], [-1, -1, 1, 1])
    assert found.rung == "enclosed"
    for changes, why in (({"asked": None}, "must know its points"), ({"certified": False}, "must be certified in floats"),
                         ({"margin": found.margin * (1 + 1e-7)}, "no proof was found"),
                         ({"network": fb.relu.network([1.0], [[1, 0.5]], [1])}, "no proof was found")):
        other = dataclasses.replace(found, **changes)
        assert other.rung == "float"
        with pytest.raises(LookupError, match=why):
            other.proof()


@pytest.mark.parametrize(("scale", "rung"), [(1e-200, "float"), (1e30, "enclosed"), (1e200, "enclosed")])
def test_points_of_sizes_far_from_one_are_enclosed_or_not(scale, rung):
    """What leaves float64 on the way has no proof, and nothing warns."""
    X, y, _, _ = asked(14, 5)
    rules = ("free", True) if scale < 1 else ("counted", False)
    assert fb.relu.margin(X * scale, y, *rules).rung == rung


def test_limits_of_theory_have_the_proof_of_their_network():
    X, y = [[0, 0], [1, 1], [0, 1.0], [1, 0]], [-1, -1, 1, 1]
    model = fb.models.relu(X, 30, offset=False)
    plan = fb.Plan(np.eye(4), y, loss="exponential", method=fb.methods.gradient_descent(0.1), model=model,
                   start=np.random.default_rng(0).normal(size=120))
    limit = plan.limit()
    assert (limit.rung, limit.certified) == ("enclosed", True)
    assert limit.proof() == fb.relu.margin(X, y).proof()
    off = dataclasses.replace(limit, margin=limit.margin * (1 + 1e-7))
    assert off.rung == "float"
    with pytest.raises(LookupError, match="no proof was found of this margin"):
        off.proof()


def test_a_proof_is_the_callers_own():
    found = fb.relu.margin([3.0, -4.0], [1, -1])
    first = found.proof()
    first["rows"][0][0] = "7"
    assert found.proof()["rows"][0][0] == "3"


def test_cells_are_about_as_many_as_there_are():
    """P lines through 0 in three dimensions cut P (P − 1) + 2 cells, and what shows that others are empty is no more than these."""
    rng = np.random.default_rng(20)
    X, y = rng.normal(size=(20, 2)), rng.permutation(np.where(np.arange(20) % 2, 1.0, -1.0))
    document = fb.relu.margin(X, y).proof()
    lam = np.array([float(Fraction(v)) for v in document["dual"]])
    pulling = [int((lam * y * sign > 0).sum()) for sign in (1, -1)]
    inner = sum(k == "1" for k, *_ in document["cells"])
    assert inner == sum(P * (P - 1) + 2 for P in pulling)
    assert len(document["cells"]) <= 2 * inner


@pytest.mark.parametrize(("seed", "rules"), [(0, ("free", True)), (28, ("counted", True))])
def test_leaves_that_floats_leave_a_little_off(seed, rules):
    """A sum that must be 0 and is so but for rounding, with all t at an end; and a solver that ends too early."""
    X, y, _, _ = asked(seed)
    assert fb.relu.margin(X, y, *rules).rung == "enclosed"
