"""The ledger has a line for every theorem, with what its runs amount to, and the committed one is of these tables."""
from pathlib import Path

import pytest

from fastbias.theory import Refusal
from paper_figures import ledger
from paper_figures._atlas_runs import FAILS, HOLDS, NONE, OPEN, TABLES

pytestmark = pytest.mark.long
DOCS = Path(__file__).resolve().parents[2] / "docs" / "ledger.md"


@pytest.fixture(scope="module")
def lines():
    return ledger.lines(ledger.entries())


def test_every_row_has_a_line_here_and_in_the_documents(lines):
    rows = [row for table in TABLES.values() for row in table]
    assert [line.row for line in lines] == rows
    assert all(line.runs for line in lines)
    if not DOCS.is_file():
        pytest.skip("the documents are not there: this is no clone")
    text = DOCS.read_text(encoding="utf-8")
    missing = [row.name for row in rows if row.name.replace("|", "\\|") not in text]
    assert not missing, f"python -m paper_figures.ledger --committed writes them: {missing}"
    assert f"| **{FAILS}**" not in text
    assert text.count(f"| {FAILS} |") == 0


def test_tasks_in_turn_have_their_lines():
    rows = ledger.in_turn()
    assert [len(line.runs) for line in rows] == [2, 1]
    assert {line.verdict for line in rows} == {HOLDS}
    assert "cyclic, 1000 visits" in rows[0].ran[0]
    text = DOCS.read_text(encoding="utf-8") if DOCS.is_file() else rows[0].row.name + rows[1].row.name
    assert all(line.row.name in text for line in rows)


def test_a_line_says_what_was_asked_run_and_measured(lines):
    some = [line for line in lines if line.row.name.startswith("Theorem 1:") or line.row.name == "a metric of the user's own"]
    theorem, refusal = some if not isinstance(some[0].row, Refusal) else some[::-1]
    theorem.runs[:] = theorem.runs[:1]
    page, table = ("\n".join(write([theorem, refusal])) for write in (ledger.html, ledger.markdown))
    assert (theorem.verdict, refusal.verdict) == (HOLDS, NONE)
    for text in (page, table):
        for words in ("mirror_descent", "‖w − w∞‖", "✓ the loss has a unique finite root", "1 no characterisation",
                      "η = 0.1, 0.05", refusal.row.reason[:40]):
            assert words in text.replace("&#x27;", "'"), words
    assert page.count("<tr style") == 2
    assert "<code>" in page
    assert all(line.count(" | ") >= 5 for line in table.splitlines() if line.startswith("| ") and "<br>" in line)


def test_verdicts_of_a_line_follow_from_those_of_its_runs(lines):
    theorem = next(line for line in lines if not isinstance(line.row, Refusal) and len(line.runs) > 1)
    refusal = next(line for line in lines if isinstance(line.row, Refusal))
    for seen, wanted in (((HOLDS, OPEN), HOLDS), ((HOLDS, FAILS), FAILS), ((OPEN, OPEN), OPEN), ((OPEN, NONE), NONE)):
        for run, verdict in zip(theorem.runs, seen, strict=False):
            run.__dict__["verdict"] = verdict
        del theorem.runs[2:]
        assert theorem.verdict == wanted
    for verdict, wanted in ((NONE, NONE), (OPEN, ledger.REFUSED), (FAILS, FAILS)):
        refusal.runs[:] = refusal.runs[:1]
        refusal.runs[0].__dict__["verdict"] = verdict
        assert refusal.verdict == wanted
