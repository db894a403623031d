"""The map of the field has every row of the theory's tables on it."""
import dataclasses

import pytest

import fastbias as fb
from fastbias.theory import ROOT
from paper_figures import atlas
from paper_figures._atlas_cases import cases

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def every():
    return atlas.entries()


def test_every_row_has_a_case_and_one_without_is_named(every, monkeypatch):
    assert {entry.place[0] for entry in every} == set(atlas.TABLES)
    fresh = dataclasses.replace(ROOT[0], name="a theorem of tomorrow", covers=lambda problem, flow: False)
    monkeypatch.setitem(atlas.TABLES, "§2", (*ROOT, fresh))
    monkeypatch.setattr(atlas, "cases", lambda: [entry.case for entry in every])
    with pytest.raises(LookupError, match="§2: a theorem of tomorrow"):
        atlas.entries()


def test_every_method_has_a_case():
    """A new method is shown on the map, or turns this red."""
    shown = {case.plan.problem.method.name for case in cases()}
    assert shown == set(fb.methods.__all__) - {"Method"}
    shown = {case.plan.problem.rule.name for case in cases()}
    assert shown >= {rule.name for rule in fb.steps.EXAMPLES if rule.name != "sequence"}    # which is many constants


def test_verdicts_follow_from_numbers(every):
    every = {entry.name: entry for entry in every}
    holds, none = every["gradient descent, plain"], every["natural gradient, own metric"]
    assert holds.verdict == atlas.HOLDS
    assert none.verdict == atlas.NONE
    for entry, key, value, verdict in ((holds, "gap", 1e-6, atlas.FAILS), (none, "apart", 1e-7, atlas.OPEN)):
        again = atlas.Entry(entry.case)
        again.__dict__["runs"] = entry.runs
        again.__dict__[key] = value
        assert again.verdict == verdict
