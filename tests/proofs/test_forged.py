"""Small documents, written by hand, that are right but for one thing each: whatever the checker stopped asking, one of these
would pass.
"""
from fractions import Fraction
from math import factorial

import pytest

from fastbias.proofs import checker

ONES = {"format": "fastbias proof 1", "free": "0", "rows": [["1", "0"], ["0", "1"]]}
MARGIN = {**ONES, "claim": "maximum margin", "matrix": None, "primal": ["1", "1"], "dual": ["1/2", "1/2"]}
LEAST = {**ONES, "claim": "minimum norm", "rows": [["1", "2"]], "goal": ["1"], "matrix": None}
NEXT = {**LEAST, "claim": "projection", "rows": [["1", "1"]]}
SLOPE = [["1", "0"], ["0", "3"]]
TINY = f"{2 ** 110 + 1}/{2 ** 110}"
SINH = str(sum((Fraction(1, factorial(k)) for k in range(1, 61, 2)), Fraction()))         # sinh 1, to 2⁻²⁷⁰
FAR = f"{2 ** 100 + 1}/{2 ** 100}"

CORNER = [["1", "0"], ["0", "0"]] * 2
LEAST_ONE = f"1/{2 ** 110}"
MATRIX = {**ONES, "claim": "maximum margin", "primal": ["1", "0", "0", "0"], "dual": ["1"]}

GOOD = {
    "l1": {**MARGIN, "norm": "l1", "value": "1/2"},
    "l2": {**MARGIN, "norm": "l2", "value": "1/2"},
    "linf": {**MARGIN, "norm": "linf", "value": "1"},
    "D": {**MARGIN, "norm": "quadratic", "matrix": SLOPE, "value": "1/4", "dual": ["1/4", "3/4"]},
    "halves": {**MARGIN, "norm": "quadratic", "matrix": [["1/2", "0"], ["0", "3/2"]], "value": "1/2", "dual": ["1/4", "3/4"]},
    "l3": {**MARGIN, "norm": "lp", "matrix": "3", "value": "1/2"},
    "b": {**MARGIN, "norm": "l2", "free": "1", "rows": [["3", "0", "1"], ["5", "1", "1"], ["0", "0", "-1"]],
          "primal": ["2/3", "0", "-1"], "dual": ["1/2", "0", "1/2"], "value": "9/4"},
    "least l1": {**LEAST, "norm": "l1", "primal": ["0", "1/2"], "dual": ["1/2"], "value": "1/2"},
    "least l2": {**LEAST, "norm": "l2", "primal": ["1/5", "2/5"], "dual": ["1/5"], "value": "1/5"},
    "least linf": {**LEAST, "norm": "linf", "primal": ["1/3", "1/3"], "dual": ["1/3"], "value": "1/3"},
    "least p": {**LEAST, "norm": "lp", "matrix": "5/4", "rows": [["1", "1"]], "goal": ["2"], "primal": ["1", "1"], "dual": ["1"],
                "value": "2"},
    "least lp": {**LEAST, "norm": "lp", "matrix": "2", "primal": ["1/5", "2/5"], "dual": ["1/5"], "value": "1/5"},
    "next l2": {**NEXT, "norm": "l2", "start": ["1", "1"], "primal": ["1/2", "1/2"], "dual": ["-1/2"], "value": "1/2"},
    "next D": {**NEXT, "norm": "quadratic", "matrix": SLOPE, "start": ["1", "1"], "primal": ["1/4", "3/4"], "dual": ["-3/4"],
               "value": "3/4"},
    "next l1": {**NEXT, "norm": "l1", "start": ["1", "1"], "primal": ["0", "1"], "dual": ["-1"], "value": "1"},
    "far l1": {**NEXT, "norm": "l1", "start": ["2", "0"], "primal": ["1", "0"], "dual": ["-1"], "value": "1"},
    "entropy": {**NEXT, "norm": "entropy", "start": ["1/3", "2/3"], "primal": ["1/3", "2/3"], "dual": ["0"], "value": "0"},
    "cosh": {**NEXT, "norm": "cosh", "goal": ["0"], "start": ["0", "0"], "primal": ["0", "0"], "dual": ["0"], "value": "0"},
    # ⟨W, Z⟩ of Z = I, of Z = e1 e1ᵀ, and of Z = diag(1, 4) on the cone
    "nuclear": {**MATRIX, "norm": "nuclear", "rows": [["1", "0", "0", "1"]], "matrix": CORNER, "value": TINY},
    "spectral": {**MATRIX, "norm": "spectral", "rows": [["1", "0", "0", "0"]], "matrix": CORNER, "value": "1"},
    "psd": {**MATRIX, "norm": "psd", "rows": [["1", "0", "0", "4"]], "matrix": [["0", "0"], ["0", "1/2"]] * 2,
            "primal": [LEAST_ONE, "0", "0", "1/4"], "value": f"{2 ** 110 + 1}/{2 ** 108}"},
    "least nuclear": {**MATRIX, "claim": "minimum norm", "goal": ["1"], "norm": "nuclear", "rows": [["1", "0", "0", "1"]],
                      "matrix": CORNER, "dual": [f"{2 ** 110 - 1}/{2 ** 110}"], "value": f"{2 ** 110 - 1}/{2 ** 110}"},
    "separable": {**ONES, "claim": "separable", "primal": ["1", "1"], "dual": []},
    "inseparable": {**ONES, "claim": "inseparable", "rows": [["1", "2"], ["-3", "-6"]], "primal": [], "dual": ["3/4", "1/4"]},
    "parted": {**ONES, "claim": "separation", "rows": [["1", "1"], ["0", "1"], ["0", "-1"]], "primal": ["1", "0"],
               "dual": ["0", "1/2", "1/2"], "strict": [True, False, False]}}

FORGED = [
    # what is there, and what it is
    ("l2", {"claim": "largest margin"}, "claim"), ("l2", {"claim": None}, "claim"), ("l2", {"note": "1"}, "note"),
    ("l2", {"goal": ["1", "1"]}, "goal"), ("l2", {"format": "fastbias proof 2"}, "format"), ("l2", {"free": "2"}, "free"),
    ("l2", {"free": "-1"}, "free"), ("l2", {"free": "1/2"}, "free"), ("l2", {"value": "2/4"}, "value"),
    ("l2", {"value": "3/1"}, "value"), ("l2", {"value": "0"}, "value"), ("l2", {"value": "-1"}, "value"),
    ("l2", {"value": "9" * 100_001}, "value"), ("l2", {"rows": [["1", "0"], ["0", "1", "5"]]}, "rows"),
    ("l2", {"rows": [["1", "0"], ["0"]]}, "rows"), ("l2", {"rows": [["1", "0"], ["0", "1/3"]]}, "rows"),
    ("l2", {"dual": ["1/2", "1/2", "0"]}, "dual"), ("l2", {"norm": "l5"}, "norm"), ("l2", {"matrix": SLOPE}, "matrix"),
    ("D", {"matrix": None}, "matrix"), ("least l2", {"goal": ["1/3"]}, "rows"), ("parted", {"strict": [1, 0, 0]}, "strict"),
    # weights: one under 0, that make the margin of (1), (3) a half; not of sum 1; none at all
    ("l1", {"rows": [["1"], ["3"]], "dual": ["5/4", "-1/4"], "primal": ["2"]}, "dual"),
    ("l1", {"rows": [["1"], ["3"]], "dual": ["1/2", "0"], "primal": ["2"]}, "dual"),
    ("inseparable", {"rows": [["1", "2"], ["3", "1"]], "dual": ["0", "0"]}, "dual"),
    ("inseparable", {"rows": [["1", "2"], ["1", "2"]], "dual": ["1/2", "1/2"]}, "dual"),
    ("inseparable", {"rows": [["1", "2"], ["2", "4"]], "dual": ["2", "-1"]}, "dual"),
    # which feel a free column: the margin of (1, 1), (3, −1) is 2; and any column where nothing separates
    ("l1", {"rows": [["1", "1"], ["3", "-1"]], "free": "1", "dual": ["3/4", "1/4"], "primal": ["2/3", "1/3"],
            "value": "3/2"}, "dual"),
    ("inseparable", {"rows": [["1", "0"], ["1", "0"]], "free": "1", "dual": ["1/2", "1/2"]}, "dual"),
    # w: margins under 1, another goal, a longer one that λ says the same of
    ("l2", {"primal": ["1", "1/2"]}, "primal"), ("least l2", {"primal": ["2/5", "4/5"], "dual": ["2/5"], "value": "2/5"}, "primal"),
    ("l1", {"dual": ["1", "0"], "primal": ["1", "5"], "value": "1"}, "dual"),
    ("l1", {"dual": ["1", "0"]}, "dual"), ("linf", {"dual": ["1", "0"], "primal": ["1", "2"], "value": "1"}, "dual"),
    ("least l1", {"primal": ["1", "0"], "dual": ["1"], "value": "1"}, "dual"),
    ("least l1", {"primal": ["1", "0"]}, "dual"), ("least linf", {"primal": ["1", "0"], "value": "1"}, "value"),
    ("least l1", {"dual": ["1/4"]}, "value"), ("next l1", {"start": ["0", "1"]}, "value"),
    # weight on a row with slack: the margin would be too large
    ("l2", {"rows": [["1", "0"], ["0", "1"], ["1", "1"]], "dual": ["1/3", "1/3", "1/3"], "value": "2/3"}, "value"),
    ("l3", {"rows": [["1", "0"], ["0", "1"], ["1", "1"]], "dual": ["1/3", "1/3", "1/3"], "value": "2/3"}, "value"),
    # D that is no norm's, though w and λ belong to it
    ("D", {"matrix": [["1", "1"], ["0", "1"]], "value": "1/3", "dual": ["2/3", "1/3"]}, "matrix"),
    ("D", {"matrix": [["1", "2"], ["2", "1"]], "value": "1/6", "dual": ["1/2", "1/2"]}, "matrix"),
    ("D", {"matrix": [["1", "1"], ["1", "1"]], "dual": ["1/2", "1/2"]}, "matrix"),
    # D without what its fractions are over; near the origin, but not the start
    ("halves", {"value": "1/4"}, "dual"), ("far l1", {"primal": ["0", "1"]}, "dual"),
    # an entry of w with another sign than ∇ψ, or a little off
    ("least lp", {"rows": [["1", "1"]], "goal": ["0"], "matrix": "3", "primal": ["1", "-1"], "dual": ["1"], "value": "0"}, "primal"),
    ("cosh", {"primal": ["1", "-1"], "dual": [SINH]}, "dual"),
    ("least p", {"primal": [f"{2 ** 101 + 1}/{2 ** 101}", f"{2 ** 101 - 1}/{2 ** 101}"]}, "dual"),
    # what is exact has no gap at all
    ("l2", {"primal": [TINY, "1"]}, "value"), ("D", {"primal": [TINY, "1"]}, "value"),
    ("least lp", {"value": f"{2 ** 110 - 5}/{5 * 2 ** 110}"}, "value"), ("least lp", {"value": f"{2 ** 110 + 5}/{5 * 2 ** 110}"}, "value"),
    # and what is enclosed little
    ("l3", {"primal": [FAR, "1"]}, "value"), ("l3", {"value": "1/3"}, "dual"), ("l3", {"matrix": "1"}, "matrix"),
    ("l3", {"matrix": "1/2"}, "matrix"), ("l3", {"rows": [["1", "0"], ["0", "-1"]], "primal": ["1", "-1"], "dual": ["1", "0"]}, "primal"),
    ("least lp", {"primal": ["0", "1/2"]}, "primal"), ("least lp", {"primal": ["3/5", "1/5"]}, "dual"),
    # starts and domains
    ("cosh", {"start": ["1", "-1"]}, "start"),
    ("least lp", {"claim": "projection", "start": ["1", "0"], "value": "0"}, "start"),
    ("entropy", {"start": ["-1/3", "2/3"]}, "primal"), ("entropy", {"goal": ["-1"], "start": ["-1/3", "-2/3"],
                                                                  "primal": ["-1/3", "-2/3"]}, "primal"),
    ("entropy", {"start": ["2/3", "1/3"]}, "dual"), ("entropy", {"value": "1"}, "value"),
    # matrices: factors that are none, of another shape, too short, too long; their roles exchanged
    *[(name, {"matrix": bad}, "matrix") for name in ("nuclear", "spectral", "psd") for bad in (
        None, "2", [], [[]], ["1", "0", "0", "0"], [["1"]], CORNER[:3], [*CORNER, ["0", "0"]], [["1", "0", "0"]] * 4,
        [["1", FAR], ["0", "0"]] * 2, [["1", f"1/{2 ** 50}"], ["0", "0"]] * 2)],
    ("nuclear", {"matrix": [["1"], ["0"], ["0"], ["0"], ["1"]]}, "matrix"), ("nuclear", {"norm": "spectral"}, "matrix"),
    ("spectral", {"norm": "nuclear"}, "dual"), ("nuclear", {"norm": "psd"}, "primal"),
    # factors of a shape that counts one of them twice
    ("nuclear", {"rows": [["0", "0", "0", "1"]], "primal": ["0", "0", "0", "1"], "value": "2",
                 "matrix": [["0"] * 3, ["0"] * 3, ["0"] * 3, ["1", "0", "0"]]}, "matrix"),
    # a value under or over what it is, by little and by much; W that is longer, or not in the cone
    ("nuclear", {"value": "1"}, "dual"), ("nuclear", {"value": "1/2"}, "dual"), ("nuclear", {"value": "2"}, "matrix"),
    ("nuclear", {"value": FAR}, "matrix"), ("spectral", {"value": "1/2"}, "matrix"), ("spectral", {"value": FAR}, "matrix"),
    ("spectral", {"value": f"{2 ** 100 - 1}/{2 ** 100}"}, "matrix"), ("psd", {"value": "4"}, "dual"),
    ("spectral", {"primal": ["1", "0", "0", "2"]}, "dual"), ("spectral", {"primal": ["1", "2", "0", "0"]}, "dual"),
    ("nuclear", {"primal": ["1", "0", "0", "1"]}, "value"), ("nuclear", {"primal": ["1", "1", "0", "0"]}, "matrix"),
    ("psd", {"primal": ["0", "0", "0", "1/4"]}, "primal"), ("psd", {"primal": [LEAST_ONE, "0", LEAST_ONE, "1/4"]}, "primal"),
    ("psd", {"primal": [LEAST_ONE, "1", "1", "1/4"]}, "matrix"), ("psd", {"primal": ["0", "1/4", "1/4", "1/4"]}, "matrix"),
    # −I would have a margin without the cone; rows that are not symmetric say nothing on it
    ("psd", {"rows": [["-1", "0", "0", "-1"]], "primal": ["-1/2", "0", "0", "-1/2"], "value": TINY}, "matrix"),
    ("psd", {"rows": [["1", "1", "0", "4"]]}, "dual"),
    ("least nuclear", {"value": "1"}, "value"), ("least nuclear", {"dual": ["1"], "value": "1"}, "dual"),
    ("least nuclear", {"primal": ["2", "0", "0", "-1"]}, "matrix"), ("least nuclear", {"primal": ["1", "0", "0", "1"]}, "primal"),
    ("least nuclear", {"claim": "projection", "start": ["1", "0", "0", "0"]}, "start"),
    # strict rows: a margin of 0, a weight on one, none on another
    ("separable", {"primal": ["1", "0"]}, "strict"), ("parted", {"strict": [True, True, False]}, "strict"),
    ("parted", {"dual": ["0", "0", "0"]}, "dual"), ("parted", {"dual": ["1/3", "1/3", "1/3"]}, "dual"),
    ("parted", {"rows": [["1", "0"], ["2", "0"]], "primal": ["0", "0"], "dual": ["2", "-1"], "strict": [False, False]}, "dual"),
    ("parted", {"primal": ["0", "0"]}, "strict"), ("parted", {"rows": [["1", "1"], ["0", "1"], ["0", "-2"]]}, "dual")]


def sealed(document):
    return {**document, "seal": checker.seal(document)}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_taken(name):
    assert checker.check(sealed(GOOD[name]))
    with pytest.raises(ValueError, match="line 'seal'"):
        checker.check({**GOOD[name], "seal": "7"})


@pytest.mark.parametrize(("name", "lines", "line"), FORGED)
def test_what_is_forged_is_refused(name, lines, line):
    with pytest.raises(ValueError, match=f"the proof fails at line '{line}'"):
        checker.check(sealed({**GOOD[name], **lines}))


def test_what_is_next_to_it_is_taken():
    assert checker.check(sealed({**GOOD["l3"], "primal": [TINY, "1"]}))
