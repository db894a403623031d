"""Tables from the field, each by one command, from the file as it is, against what was published or worked out by hand."""
import math
import pathlib
import re

import pytest

from fastbias.running import cli
from tests.helpers import JIT

TABLES = pathlib.Path(__file__).parents[1] / "solvers" / "tables"
OWN = {
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
    ("timestamps", [], "complete", {"t_ms": "+inf", "one": "undetermined", "(intercept)": "undetermined"}),
    ("timestamps", ["--drop", "one"], "complete", {"t_ms": "+inf", "(intercept)": "-inf"}),
    ("widest", [], "complete", {"x1": "-inf", "x2": "-inf", "(intercept)": "+inf"}),
    # (what R's glm says of these irises)
    ("iris_index", ["--drop", "Unnamed: 0"], "overlap", {
        "Sepal.Length": -2.4652202, "Sepal.Width": -6.6808869, "Petal.Length": 9.4293853, "Petal.Width": 18.286137,
        "(intercept)": -42.637804}),
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


def numbers(text, name):
    """The numbers of the line that begins with a name."""
    line = next(line for line in text.splitlines() if line.strip().startswith(f"{name} "))
    return [float(x) for x in re.findall(r"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)?(?![\w.])", line.replace(name, "", 1))]


@pytest.mark.parametrize(("name", "words", "margin", "line"), [      # w and b with least margins of one
    ("widest", ["--intercept"], .35355339059327373, {"x1": -2, "x2": -2, "(intercept)": 9}),
    ("quadprog", ["--intercept"], .5, {"f1": 1.6, "f2": 1.2, "(intercept)": -.6}),
    ("iris100", ["--intercept"], .8175557692888, {}),
    ("statology", ["--intercept", "--target", "y"], 1.697749375254331, {"x1": 4 / 7, "x2": -1 / 7, "(intercept)": -22 / 7}),
    ("mcgill", ["--intercept", "--labels", "M"], .6708203932499369, {"x": 4 / 3, "y": 2 / 3, "(intercept)": -11}),
    ("mcgill", ["--intercept", "--labels", "H"], .6708203932499369, {"x": -4 / 3, "y": -2 / 3, "(intercept)": 11}),
    ("mirtcat", ["--drop", "d"], .0379355339, {"a1": -.76547475 / .0379355339, "a2": -.64346594 / .0379355339}),
    ("adaboost", ["--stumps", "--norm", "l1"], 1 / 3, {}),
    ("timestamps", ["--drop", "one", "--intercept"], .5, {"t_ms": 2, "(intercept)": -2 * (1.6e12 + 4.5)})])
def test_margins(ask, name, words, margin, line):
    code, text = ask("margin", name, *words)
    assert code == 0
    assert float(re.search(r"margin (\S+), certified", text)[1]) == pytest.approx(margin, rel=1e-9)
    for feature, value in line.items():
        assert numbers(text, feature)[-1] == pytest.approx(value, rel=1e-6), feature
    assert text.count("at margin 1") >= 2 * (name != "adaboost")


def test_multipliers_are_those_of_a_support_vector_machine(ask):
    text = ask("margin", "quadprog", "--intercept")[1]
    rows = {line.split()[0]: float(line.split()[-1]) for line in text.splitlines() if re.match(r"  \d+ ", line)}
    assert rows == pytest.approx({"0": 2, "4": .4, "5": 1.6}, rel=1e-8)
    assert "not separable" in ask("margin", "widest")[1]             # without an intercept


@pytest.mark.skipif(not JIT, reason="too many steps without the compiler")
def test_three_rounds_of_adaboost_by_hand(ask):
    """α = ½ log((1 − ε)/ε) of the errors ε = 3/10, 3/14, 2/11, on stumps at 2.5, 8.5 and 5.5 (Li, Statistical Learning)."""
    code, text = ask("run", "adaboost", "--stumps", "--loss", "exponential", "--method", "coordinate(line_search())", "--steps", "3",
                     "--quiet")
    assert code == 0
    for cut, sign, error in ((2.5, -1, 3 / 10), (8.5, -1, 3 / 14), (5.5, 1, 2 / 11)):
        assert numbers(text, f"x > {cut}")[0] == pytest.approx(sign * .5 * math.log((1 - error) / error), rel=1e-8)
    assert "AdaBoost" in text                                        # of which no theorem speaks


@pytest.mark.skipif(not JIT, reason="too many steps without the compiler")
@pytest.mark.parametrize(("t", "x1"), [("1e5", 5.43262158), ("1e6", 7.7388)])
def test_where_gradient_descent_is_on_its_way_to_infinity(ask, t, x1):
    code, text = ask("run", "ucla_quasi", "--target", "Y", "--loss", "logistic", "--method", "gradient(0.01)", "--intercept",
                     "--steps", t, "--quiet")
    assert code == 0
    assert numbers(text, "X1")[0] == pytest.approx(x1, rel=1e-5)
    assert "ray" in text


@pytest.mark.long
def test_of_raw_numbers_it_is_said_how_far_a_run_is_from_the_fit(ask):
    code, text = ask("run", "paid", "--drop", "one", "--intercept", "--loss", "logistic", "--method", "gradient", "--steps", "1e4",
                     "--quiet")
    assert code == 0
    assert numbers(text, "experience")[1] == pytest.approx(1.59628, rel=1e-5)
    assert float(text.split("distance to it: ")[1].split()[0]) > 1


def test_rows_that_count_nothing_have_no_margin(ask):
    OWN["counted"] = "a,n,y\n1,2,1\n3,0,-1\n-1,5,-1\n"
    assert ask("margin", "counted", "--weights", "n")[0] == 0
    assert "not separable" in ask("margin", "counted", "--drop", "n")[1]


def test_what_is_in_the_way_is_told_with_the_way_out(ask):
    code, text = ask("separation", "indexed")
    assert code == 2
    assert "leave it out by --drop 'Unnamed: 0'" in text
    code, text = ask("margin", "widest", "--target", "lable")
    assert code == 2
    assert "did you mean 'label'?" in text
    code, text = ask("separation", "german", "--missing", "refuse")
    assert code == 2
    assert "column 'Dosis' in line 5" in text
    code, text = ask("separation", "lizards", "--target", "grahami,opalinus", "--categories", "refuse")
    assert code == 2
    assert "column 'height' of lizards.csv must hold numbers" in text
