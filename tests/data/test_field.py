"""Tables from the field, each by one command, from the file as it is, against what was published or worked out by hand."""
import pathlib
import re

import pytest

from fastbias.running import cli

TABLES = pathlib.Path(__file__).parents[1] / "solvers" / "tables"
OWN = {
    "widest": "x1,x2,label\n1.5,2.5,True\n2.5,1.5,True\n2.5,2.5,False\n",
    "quadprog": "f1,f2,class\n1,0,1\n0.5,1,1\n0.5,1.5,1\n0,-1,-1\n-1,1,-1\n0.5,-1,-1\n",
    "clock": "t_ms,after\n" + "".join(f"{1600000000000 + i},{1 if i > 4 else -1}\n" for i in range(10)),
    "indexed": ",a,b,kind\n0,1,2,x\n1,2,1,x\n2,4,5,y\n3,5,4,y\n",
    "german": "\ufeffAlter;Dosis;Folge\r\n31;0,5;ja\r\n45;1,25;nein\r\n28;0,75;ja\r\n52;;nein\r\n60;2,5;ja\r\n39;1,5;nein\r\n",
}


@pytest.fixture
def ask(tmp_path, capsys):
    def run(command, name, *words):
        path = TABLES / f"{name}.csv"
        if name in OWN:
            path = tmp_path / f"{name}.csv"
            path.write_bytes(OWN[name].encode())
        code = cli.main([command, str(path), *words])
        told = capsys.readouterr()
        return code, told.out + told.err
    return run


def coefficients(text):
    """What the table of a separation says, numbers as such."""
    found = re.findall(r"^  (\S+) +(\+inf|-inf|undetermined|-?[\d.e-]+)(?: +\S+)?$", text, re.M)
    return {name: value if value.strip("+-") in ("inf", "undetermined") else float(value) for name, value in found}


@pytest.mark.parametrize(("name", "words", "kind", "wanted"), [
    ("ucla_quasi", ["--target", "Y"], "quasi-complete", {"X1": "+inf", "X2": -0.120626, "(intercept)": "-inf"}),
    ("silvapulle1981", ["--target", "y", "--labels", "case"], "quasi-complete", {"ghqs": "+inf", "(intercept)": "-inf"}),
    ("silvapulle1981", ["--target", "y"], "quasi-complete", {"ghqs": "-inf", "(intercept)": "+inf"}),
    ("lizards", ["--target", "grahami,opalinus"], "overlap", {
        "height_>=5ft": 1.129991, "diameter_>2in": -.762634, "light_sunny": .847276, "time_late": -.736812,
        "time_midday": .227111, "(intercept)": 1.097413}),
    ("endometrial", [], "quasi-complete", {"NV": "+inf", "PI": -.0421834, "EH": -2.90261, "(intercept)": 4.30452}),
    ("statology", ["--target", "y"], "complete", {"x1": "+inf", "x2": "undetermined", "(intercept)": "undetermined"}),
    ("paid", ["--drop", "one"], "overlap", {"experience": 1.59628, "salary": -.000283999}),
    ("paid", ["--no-intercept"], "overlap", {"experience": 1.59628, "salary": -.000283999}),
    ("clock", [], "complete", {"t_ms": "+inf", "(intercept)": "-inf"}),
    ("widest", [], "complete", {"x1": "-inf", "x2": "-inf", "(intercept)": "+inf"}),
    ("indexed", ["--drop", "Unnamed: 0"], "complete", {"a": "undetermined", "b": "undetermined"}),
    ("german", [], "overlap", {}),
])
def test_separation(ask, name, words, kind, wanted):
    code, text = ask("separation", name, *words)
    assert code == 0
    assert re.search(rf"^{kind}", text, re.M)
    assert re.search(r"^certified", text, re.M)
    found = coefficients(text)
    for coefficient, value in wanted.items():
        assert found[coefficient] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5)), coefficient
    assert (name == "german") == ("1 more row with gaps: left out" in text)


def test_labels_are_told_whatever_they_were(ask):
    assert "labels: +1 is 'case', −1 is 'none-case'" in ask("separation", "silvapulle1981", "--target", "y", "--labels", "case")[1]
    assert "labels: +1 is 'none-case', −1 is 'case'" in ask("separation", "silvapulle1981", "--target", "y", "--labels", "binary")[1]
    assert "labels: +1 is 1, −1 is 0" in ask("separation", "statology", "--target", "y")[1]
    assert "labels: +1 is 'grahami', −1 is 'opalinus'" in ask("separation", "lizards", "--target", "grahami,opalinus")[1]
    assert "factors: height (against <5ft), diameter (against <=2in)" in ask("separation", "lizards", "--target", "0,1")[1]


@pytest.mark.parametrize(("name", "words", "margin"), [
    ("widest", ["--intercept"], .35355339059327373), ("quadprog", ["--intercept"], .5),
    ("iris100", ["--intercept"], .817556), ("statology", ["--intercept", "--target", "y"], 1.69775)])
def test_margins(ask, name, words, margin):
    code, text = ask("margin", name, *words)
    assert code == 0
    assert float(re.search(r"margin ([\d.]+), certified", text)[1]) == pytest.approx(margin, rel=2e-6)


def test_rows_that_count_nothing_have_no_margin(ask):
    OWN["counted"] = "a,n,y\n1,2,1\n3,0,-1\n-1,5,-1\n"
    assert ask("margin", "counted", "--weights", "n")[0] == 0
    assert "not separable" in ask("margin", "counted", "--drop", "n")[1]


def test_what_is_in_the_way_is_told_with_the_way_out(ask):
    code, text = ask("separation", "indexed")
    assert code == 2
    assert "leave it out by drop='Unnamed: 0'" in text
    code, text = ask("margin", "widest", "--target", "lable")
    assert code == 2
    assert "did you mean 'label'?" in text
    code, text = ask("separation", "german", "--missing", "refuse")
    assert code == 2
    assert "column 'Dosis' in line 5" in text
    code, text = ask("separation", "lizards", "--target", "grahami,opalinus", "--categories", "refuse")
    assert code == 2
    assert "column 'height' of lizards.csv must hold numbers" in text
