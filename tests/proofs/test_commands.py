"""``fastbias check`` and ``margin --proof``."""
import json

import pytest

import fastbias as fb
from fastbias.running import cli

TABLE = "a,b,y\n1,2,1\n2,0.1,1\n-1,-1,0\n-3,1,0\n"


@pytest.fixture
def proved(tmp_path, capsys):
    """The exit code and the text of a command on a table; and where its proof is."""
    (tmp_path / "my.csv").write_text(TABLE)
    path = tmp_path / "proof.json"

    def command(*words):
        code = cli.main([*words])
        return code, "".join(capsys.readouterr())
    return command, str(tmp_path / "my.csv"), path


@pytest.mark.parametrize("options", [[], ["--norm", "l1"], ["--norm", "inf", "--intercept"]])
def test_margins_are_proved_and_checked(proved, options):
    command, table, path = proved
    code, text = command("margin", table, "--proof", str(path), *options)
    assert code == 0
    assert text.endswith(f"wrote {path}\n")
    assert fb.proofs.check(json.loads(path.read_text()))
    assert command("check", str(path)) == (0, "proved: maximum margin, of 4 rows\n")
    path.write_text(path.read_text().replace('"value": "', '"value": "1'))
    code, text = command("check", str(path))
    assert code == 1
    assert text.startswith("refused: the proof fails at line '")


def test_a_refusal_is_proved(proved):
    command, table, path = proved
    with open(table, "a") as file:
        file.write("1,2,0\n")
    assert command("margin", table, "--proof", str(path))[0] == 1
    assert command("check", str(path)) == (0, "proved: inseparable, of 5 rows\n")


def test_where_there_is_no_proof_it_says_so(proved):
    command, table, path = proved
    code, text = command("margin", table, "--norm", "group([[0, 1]])", "--proof", str(path))
    assert code == 0
    assert "no proof: norm must be l1, l2, linf, lp, quadratic, spectral," in text
    assert not path.exists()


def test_files_that_are_not_there(proved):
    command, table, path = proved
    code, text = command("check", str(path))
    assert code == 1
    assert text.startswith("refused: ")
    code, text = command("margin", table, "--proof", "/nowhere/at/all.json")
    assert code == 2
    assert "--proof" in text
