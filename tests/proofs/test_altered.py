"""Documents that were altered are refused: by the line that fails, or by the seal where what is claimed is still true."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastbias as fb
from fastbias.proofs import checker
from tests.helpers.proved import ODD, altered, deep, holds, places, problem

X, Y = np.array([[3.0, 1], [1, 2], [-1, -1.5], [4, 4]]), [1, 1, -1, 1]


def same(a, b):
    """Whether documents are equal, lists deep as they may be."""
    try:
        return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    except (RecursionError, TypeError):
        return False


def proofs(seeds, most):
    """Documents of random problems that have one."""
    for seed in seeds:
        try:
            yield problem(seed, most)[1]().proof()
        except (ValueError, ArithmeticError, LookupError):
            continue


def refused(seeds, many, most):
    """How many altered documents are refused, and which kinds; an accepted one is an error. Sealed anew they are taken
    if and only if the twin says that what they claim is still proved.
    """
    kinds, count, still = {}, 0, 0
    for i, document in enumerate(proofs(seeds, most)):
        rng = np.random.default_rng(i)
        for _ in range(many):
            what, new = altered(document, rng)
            if same(new, document):
                continue
            with pytest.raises(ValueError, match="the proof fails at line '") as told:
                checker.check(new)
            kinds[what] = kinds.get(what, 0) + 1
            count += 1
            if "at line 'seal'" in str(told.value) and what != "type":
                new["seal"] = checker.seal(new)
                assert checker.check(new)
                assert holds(new), (what, new)
                still += 1
    return count, kinds, still


def test_altered_documents_are_refused():
    count, kinds, _ = refused(range(24), 12, (12, 6))
    assert count > 150
    assert len(kinds) == 13


@pytest.mark.exhaustive
def test_1000_altered_documents_are_refused_by_the_checker_alone(tmp_path):
    count, kinds, still = refused(range(120), 10, (40, 12))
    print(f"{count} altered documents refused, {kinds}; {still} claimed what was still true, and were refused by the seal")
    assert count >= 1000
    # in another process, each by itself
    done = 0
    for i, document in enumerate(proofs(range(200, 330), (20, 8))):
        rng = np.random.default_rng(i)
        for _ in range(9):
            _, new = altered(document, rng)
            if not same(new, document):
                try:
                    (tmp_path / "altered.json").write_text(json.dumps(new))
                except (RecursionError, TypeError):
                    continue
                assert alone(tmp_path / "altered.json")[0] == 1
                done += 1
    print(f"{done} of them in a process of their own")
    assert done >= 1000


def alone(path):
    """The exit code and what is said, of the checker by itself: no site-packages, no fastbias."""
    done = subprocess.run([sys.executable, "-I", "-S", checker.__file__, str(path)], capture_output=True, text=True,
                          cwd=os.path.dirname(path))
    return done.returncode, done.stdout + done.stderr


def margin(norm="l2"):
    return fb.max_margin(X, Y, norm).proof()


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_what_is_no_number_is_refused_wherever_it_stands(odd):
    document = fb.max_margin(X, Y, fb.norms.quadratic([1.0, 2.0])).proof()
    for i in range(0, len(places(document)), 3):
        where, at = places(document)[i]
        kept, where[at] = where[at], odd
        with pytest.raises(ValueError, match="the proof fails at line '(rows|dual|primal|value|matrix|free)'"):
            fb.proofs.check(document)
        where[at] = kept
    assert fb.proofs.check(document)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"claim": []}, {"claim": "maximum margin"}, deep(50_000),
                                      {"claim": deep(50_000)}, {3: "claim"}])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(ValueError, match="the proof fails at line '"):
        fb.proofs.check(document)


@pytest.mark.parametrize("text", ["", "[", "[" * 200_000, "{}", "null", "NaN", '{"claim": 1e999}', "9" * 10_000,
                                  '{"a":' * 100_000, "\x00", '{"claim": "separable", "claim": "x"}'])
def test_files_that_are_no_documents_are_refused_by_the_checker_alone(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    code, told = alone(tmp_path / "x.json")
    assert code == 1
    assert told.startswith("refused: ")
    assert "Traceback" not in told


def test_it_names_the_line():
    for key, value, line in (("value", "1", "dual"), ("value", "0", "value"), ("norm", "l1", "dual"), ("primal", ["1", "1"], "value"),
                             ("primal", ["1/9", "1/9"], "primal"), ("dual", ["1", "0", "0", "0"], "value"),
                             ("dual", ["2", "-1", "0", "0"], "dual"), ("free", "2", "free"), ("free", "1/2", "free"),
                             ("format", "fastbias proof 2", "format"), ("seal", "1", "seal"), ("matrix", [["1"]], "matrix"),
                             ("rows", [], "rows"), ("rows", [[]], "rows"), ("rows", [["1/3", "1"]] * 4, "rows")):
        with pytest.raises(ValueError, match=f"the proof fails at line '{line}'"):
            fb.proofs.check({**margin(), key: value})
    indefinite = {**fb.max_margin(X, Y, fb.norms.quadratic([1.0, 2.0])).proof(), "matrix": [["1", "2"], ["2", "1"]]}
    with pytest.raises(ValueError, match="'matrix': it must be positive definite"):
        fb.proofs.check(indefinite)


def test_a_sealed_document_is_believed_in_nothing():
    """Whoever seals a false claim again is refused all the same."""
    for norm in ("l1", "l2", "linf"):
        for key, value in (("value", "1/2"), ("value", "10"), ("primal", ["3", "3"]), ("dual", ["1/4"] * 4)):
            document = {**margin(norm), key: value}
            document["seal"] = checker.seal(document)
            with pytest.raises(ValueError, match="the proof fails at line '(value|dual|primal)'"):
                fb.proofs.check(document)
