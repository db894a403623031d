"""The user's own tables, as they come: separators, names, factors, gaps, labels, weights, and what is refused."""
import dataclasses
import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

import fastbias as fb

CSV = "a,b,c,goal\n1,2,0.5,1\n0,1,1,2\n"


@pytest.fixture
def table(tmp_path):
    def write(text, name="my.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


def rows(found):
    return found.X.to_numpy().tolist()


# ---- text

@pytest.mark.parametrize("text", [
    "a,b,y\n1,2.5,0\n3,-4,1\n", "a;b;y\n1;2.5;0\n3;-4;1\n", "a\tb\ty\n1\t2.5\t0\n3\t-4\t1\n", "a b y\n1 2.5 0\n3 -4 1\n",
    "  a   b  y \n  1   2.5  0\n  3  -4    1  \n\n", "a|b|y\n1|2.5|0\n3|-4|1\n",
    "\ufeffa,b,y\r\n1,2.5,0\r\n3,-4,1\r\n\r\n\r\n", "a,b,y\r1,2.5,0\r3,-4,1\r", " a , b ,y \n1 , 2.5,0\n3,-4 , 1\n",
    '"a","b","y"\n"1","2.5","0"\n"3","-4","1"\n', "a;b;y\n1;2,5;0\n3;-4;1\n", "a b y\n1 2,5 0\n3 -4 1\n",
    "a,b,y,\n1,2.5,0,\n3,-4,1,\n", "a,b,y\n1,2.5,0,\n3,-4,1,\n", "a,b,y\n1,2.5,0\n,,\n3,-4,1\n,,\n",
    "# from somewhere\n#\na,b,y\n# a comment, or two\n1,2.5,0\n\n3,-4,1\n", "# a,b,y\n1,2.5,0\n3,-4,1\n", "a, b, y\n1, 2.5, 0\n3, -4, 1",
    "a,\tb,\ty\n1,\t2.5,\t0\n3,\t-4,\t1\n", "sep=;\na;b;y\n1;2.5;0\n3;-4;1\n", '"sep=,"\na,b,y\n1,2.5,0\n3,-4,1\n',
])
def test_the_same_table_in_many_ways(table, text):
    found = fb.data.read(table(text))
    assert (found.names, found.target, found.dropped) == (("a", "b"), "y", 0)
    assert rows(found) == [[1, 2.5], [3, -4]]
    assert found.y.tolist() == [0, 1]
    assert list(found.X.columns) == ["a", "b"]
    assert found.y.name == "y"


def test_cells_in_quotes_hold_separators_and_breaks(table):
    found = fb.data.read(table('"size, in cm","kind; of it",y\n1,"x, y",2\n2,"u;v",3\n3,"x, y",5\n'))
    assert found.names == ("size, in cm", "kind; of it_x, y")
    assert rows(found) == [[1, 1], [2, 0], [3, 1]]
    assert fb.data.read(table('a, k, y\n1, "x, y", 2\n2, "u", 3\n3, "u", 4\n')).names == ("a", "k_x, y")
    assert fb.data.read(table('a,"b\nc",y\n1,2,3\n4,5,6\n')).names == ("a", "b\nc")
    found = fb.data.read(table('"first name" age y\n"Ann Lee" 3 1\n"Bo" 4 0\n"Ann Lee" 5 0\n'))
    assert found.names == ("first name_Bo", "age")


def test_with_and_without_a_header(table):
    found = fb.data.read(table("1,2,3\n4,5,6\n\n"))
    assert (rows(found), found.y.tolist(), found.names) == ([[1, 2], [4, 5]], [3, 6], ("x0", "x1"))
    assert fb.data.read(table("1,2,yes\n4,5,no\n")).y.tolist() == ["yes", "no"]
    assert fb.data.read(table("self,frame,y\nu,1,2\nv,1,3\nu,1,4\n")).names == ("self_v", "frame")
    assert rows(fb.data.read(table("7,8\n1,2\n3,4\n"), header=True)) == [[1], [3]]
    assert fb.data.read(table("2019,2020\n1,2\n3,4\n"), target="2020", header=True).names == ("2019",)
    assert len(fb.data.read(table("u,v\nu,w\nx,w\n"), header=False).X) == 3
    assert fb.data.read(table("# x\n1 2\n3 4\n")).names == ("x0",)
    assert fb.data.read(table("#,a,y\n7,1,2\n8,3,4\n")).names == ("#", "a")


@pytest.mark.parametrize("text", [
    ",a,b,y\n0,1,2,3\n1,4,5,6\n",                            # pandas: to_csv
    ',0,1,2\n0,1,2,3\n1,4,5,6\n',                            # … of an array
    '"","a","b","y"\n"1",1,2,3\n"2",4,5,6\n',                # R: write.csv
    '"a" "b" "y"\n"1" 1 2 3\n"2" 4 5 6\n',                   # R: write.table
    "a\tb\ty\nMazda\t1\t2\t3\nFiat\t4\t5\t6\n",              # … with names, and tabs
    "Unnamed: 0,a,b,y\n0,1,2,3\n1,4,5,6\n",                  # read and written once more
    "Unnamed: 0.1,a,b,y\n0,1,2,3\n1,4,5,6\n",
])
def test_names_of_rows_are_no_feature(table, text):
    path = table(text)
    with pytest.raises(ValueError, match="must have names, got one without, .*: leave it out by drop='Unnamed: 0") as told:
        fb.data.read(path)
    name = str(told.value).split("'")[1]                     # the hint helps
    assert rows(fb.data.read(path, drop=name)) == [[1, 2], [4, 5]]
    assert rows(fb.data.read(path, -1, drop=-4)) == [[1, 2], [4, 5]]


def test_what_has_no_name_is_no_target_unless_it_is_asked_for(table):
    path = table("a,b,\n1,2,0\n3,4,1\n")
    with pytest.raises(ValueError, match="names, got one without where y was looked for: name it as target='Unnamed: 2', or") as told:
        fb.data.read(path)
    assert fb.data.read(path, str(told.value).split("'")[1]).y.tolist() == [0, 1]
    assert fb.data.read(path, "b", drop=2).y.tolist() == [2, 4]


def test_decimal_commas_only_where_they_can_be_nothing_else(table):
    assert rows(fb.data.read(table("a;b;y\n1,5;2;0\n0,125;3;1\n"))) == [[1.5, 2], [.125, 3]]
    assert rows(fb.data.read(table("a\ty\n1,5e-3\t0\n-2,25\t1\n"))) == [[.0015], [-2.25]]
    for text in ("a;y\n1,234;0\n2,345;1\n", "a;b;y\n1,5;1.5;0\n2,5;2.5;1\n", "a;y\n999;0\n1,000;1\n"):
        with pytest.raises(ValueError, match="must have a decimal point, or decimal commas .*pandas.read_csv with decimal="):
            fb.data.read(table(text))
    with pytest.raises(ValueError, match="numbers that are written otherwise, '1,5' in line 2"):
        fb.data.read(table('a,y\n"1,5",0\n"2,5",1\n'))
    assert fb.data.read(table('a;note;y\n1.5;"one, two";0\n2;"one, two";1\n3;x;0\n')).names == ("a", "note_x")


def test_what_pandas_opens_by_itself(table, tmp_path):
    with gzip.open(tmp_path / "my.csv.gz", "wb") as file:
        file.write(CSV.encode())
    with zipfile.ZipFile(tmp_path / "my.zip", "w") as file:
        file.writestr("my.csv", CSV)
    for name in ("my.csv.gz", "my.zip"):
        assert rows(fb.data.read(tmp_path / name)) == rows(fb.data.read(table(CSV)))
    (tmp_path / "bad.csv.gz").write_bytes(b"\x1f\x8b" + b"x" * 40)
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4" + b"x" * 40)
    for name in ("bad.csv.gz", "bad.zip"):
        with pytest.raises((ValueError, OSError)):
            fb.data.read(tmp_path / name)


def test_numbers_are_those_of_the_text(table):
    rng = np.random.default_rng(0)
    texts = [f"{x:.{k}g}" for x, k in zip(np.ldexp(rng.normal(size=300), rng.integers(-900, 900, 300)),
                                          rng.integers(1, 22, 300), strict=True)]
    texts += ["1600000000000", "9007199254740992", "-9007199254740994", "18446744073709551616", "1e23", "5e-324", "0.1", "+7", ".5", "5."]
    found = fb.data.read(table("a,y\n" + "".join(f"{t},1\n" for t in texts)))
    assert found.X["a"].tolist() == [float(t) for t in texts]
    big = fb.data.read(table("a,y\n18446744073709551616,1\n3,2\n"))     # more than 64 bits, and exactly a float
    assert rows(big) == [[2.0**64], [3]]


# ---- factors

def test_factors_are_what_pandas_makes_dummies_of(table):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"size": rng.choice(["s", "m", "xl"], 40), "n": rng.normal(size=40).round(3),
                          "flag": rng.random(40) < 0.5, "code": rng.integers(1, 4, 40), "y": rng.integers(0, 2, 40)})
    text = io.StringIO()
    frame.to_csv(text, index=False)
    wanted = pd.get_dummies(frame.drop(columns="y"), columns=["size", "flag"], drop_first=True, dtype=float)
    for source in (table(text.getvalue()), frame):
        found = fb.data.read(source, "y")
        assert found.names == ("size_s", "size_xl", "n", "flag_True", "code")
        assert np.array_equal(found.X[list(wanted)], wanted)
        assert found.baselines == {"size": "m", "flag": False}
    assert "factors: size (against m), flag (against False)" in repr(found)


def test_categories_keep_their_own_order():
    frame = pd.DataFrame({"dose": pd.Categorical(["high", "low", "mid", "low"], ["none", "low", "mid", "high"]),
                          "y": [0, 1, 0, 1]})
    found = fb.data.read(frame, "y")
    assert found.names == ("dose_mid", "dose_high")         # against low: nobody had none
    assert rows(found) == [[0, 1], [0, 0], [1, 0], [0, 0]]
    coded = fb.data.read(frame.assign(dose=pd.Categorical([3, 1, 2, 1])), "y")
    assert coded.names == ("dose_2", "dose_3")              # numbers, but said to be categories


@pytest.mark.parametrize(("text", "options", "words"), [
    ("k,a,y\nu,1,0\nu,2,1\n", {}, "column 'k' of my.csv must have two levels or more to be a factor, got 'u' alone: .*drop='k'"),
    ("k,a,y\nu,1,0\nv,2,1\n,3,0\n", {"categories": "refuse"}, "column 'k' .* must hold numbers for categories=\"refuse\", got 'u' in line 2"),
    ("name,a,y\nAnn,1,0\nBo,2,1\nCy,3,0\n", {}, "another text in each row, most likely names of its rows: .*drop='name'"),
    ("k,k_v,y\nu,1,0\nv,2,1\nu,3,1\n", {}, "must have different names, got 'k_v' also as a level of 'k'"),
    ("k,a,y\n2021-03-04,1,0\n2021-03-05,2,1\n2021-03-05,2,1\n", {}, "dates or times, '2021-03-04' in line 2: make numbers of them"),
    ("k,a,y\n4/3/2021,1,0\n14/3/2021,2,1\n14/3/2021,2,1\n", {}, "dates or times"),
    ("k,a,y\n04.03.21 12:30,1,0\n04.03.21 12:30,2,1\n05.03.21 7:00,2,1\n", {}, "dates or times"),
    ("k,a,y\n4 Mar 2021,1,0\nMarch 2021,2,1\nMarch 2021,2,1\n", {}, "dates or times"),
    ("k,a,y\n2021-03-04T12:30:01.5Z,1,0\n2021-03-04T12:30:01+01:00,2,1\n2021-03-04T12:30:01.5Z,2,1\n", {}, "dates or times"),
    ("k,a,y\n12:30,1,0\n13:30:05,2,1\n12:30,2,1\n", {}, "dates or times"),
    ("k,a,y\n12%,1,0\n13%,2,1\n13%,2,1\n", {}, "numbers that are written otherwise, '12%'"),
    ("k,a,y\n(5),1,0\n(6),2,1\n(5),2,1\n", {}, "written otherwise"),
    ("k,a,y\n$5,1,0\n$1000,2,1\n$5,2,1\n", {}, "written otherwise"),
    ('k,a,y\n"1,000",1,0\n"2,000",2,1\n"1,000",2,1\n', {}, "written otherwise"),
    ("k,a,y\n'1',1,0\n'2.5e3',2,1\n'1',2,1\n", {}, "written otherwise, \"'1'\""),
    ("k,a,y\n1:0.5,1,0\n1:2,2,1\n1:0.5,2,1\n", {}, "written otherwise, '1:0.5'"),
    ("k,a,y\n0x10,1,0\n0xFF,2,1\n0x10,2,1\n", {}, "written otherwise, '0x10'"),
    ("k,a,y\n1.5D3,1,0\n2d-3,2,1\n1.5D3,2,1\n", {}, "written otherwise, '1.5D3'"),
    ("k,a,y\n1,1,0\nx,2,1\n", {}, "column 'k' of my.csv must hold numbers, got 'x' in line 3 .or texts alone, to be a factor"),
    ("k,a,y\nTrue,1,0\n0,2,1\n", {}, "must hold numbers, got 'True' in line 2"),
    ("k,a,y\n1_0,1,0\n1,2,1\n", {}, "got '1_0' in line 2"),
    ('k,y\n"1\n2",3\n1,2\n', {}, "must hold numbers, got '1.n2' in line 3"),
])
def test_texts_that_are_no_factor(table, text, options, words):
    with pytest.raises(ValueError, match=words):
        fb.data.read(table(text), "y", **options)
    first = text.split(",")[0]
    if "_v" not in text:
        assert fb.data.read(table(text), "y", drop=first, **options) if text.split("\n")[0] != "k,y" else True


@pytest.mark.parametrize("levels", [("10-19", "20-29"), ("<5ft", ">=5ft"), ("2020-21", "2021-22"), ("5mg", "10mg"),
                                    ("1st", "2nd"), ("+", "-"), ("May be", "Mayor"), ("B12", "B6"), ("A,B", "C")])
def test_texts_that_are_one(table, levels):
    low, high = sorted(levels)
    found = fb.data.read(table(f'k,y\n"{high}",1\n"{low}",0\n"{high}",0\n'))
    assert found.names == (f"k_{high}",)
    assert rows(found) == [[1], [0], [1]]


# ---- gaps

@pytest.mark.parametrize("gap", ["", "NA", "NaN", "nan", "N/A", "null", "None", "?", ".", " NA ", "<NA>", '""', "#N/A"])
def test_rows_with_gaps_are_left_out_and_counted(table, gap):
    found = fb.data.read(table(f"a,k,y\n1,u,0\n{gap},u,1\n3,{gap},0\n4,v,{gap}\n5,v,1\n"), "y")
    assert (rows(found), found.dropped) == ([[1, 0], [5, 1]], 3)
    assert found.X.index.tolist() == [0, 4]
    assert "3 more rows with gaps: left out" in repr(found)
    assert fb.data.read(table(f"a,k,y\n1,u,0\n2,{gap},1\n"), "y", drop="k").dropped == 0
    with pytest.raises(ValueError, match=r"no gaps for missing=\"refuse\", got 3 rows with some, the first of column 'a' in line 3"):
        fb.data.read(table(f"a,k,y\n1,u,0\n{gap},u,1\n3,{gap},0\n4,v,{gap}\n5,v,1\n"), "y", missing="refuse")


def test_gaps_leave_integers_and_bools_what_they_are(table):
    found = fb.data.read(table("n,b,y\n4,True,1\n,False,2\n5,,3\n9007199254740993,True,\n6,False,3\n"))
    assert found.names == ("n", "b_True")
    assert rows(found) == [[4, 1], [6, 0]]
    assert fb.data.read(table("a,b,y\n1,2,3\n4\n5,6,7\n")).dropped == 1          # cells that are not there


def test_a_row_with_gaps_decides_nothing(table):
    found = fb.data.read(table("a,y\n1,2\n3,4\n\nsource: somewhere\n"))
    assert (rows(found), found.dropped) == ([[1], [3]], 1)
    assert fb.data.read(table("full name,age\nAnn Lee,3\nBo Ray\nAnn Lee,4\nBo Ray,5\n")).names == ("full name_Bo Ray",)


def test_columns_and_rows_without_anything(table):
    with pytest.raises(ValueError, match="column 'b' of my.csv must hold something, got gaps alone: drop='b' leaves it out"):
        fb.data.read(table("a,b,y\n1,,3\n2,,4\n"))
    with pytest.raises(ValueError, match="must have a row without gaps, got none: column 'b' has 2 of them, drop='b'"):
        fb.data.read(table("a,b,y\n,1,3\n2,,4\n3,,5\n"))
    assert fb.data.read(table("a,one,y\n1,1,3\n2,1,4\n")).names == ("a", "one")   # constant, and kept


@pytest.mark.parametrize(("cells", "words"), [
    (("inf", "1"), "finite numbers, got inf in line 2"), (("1", "-Infinity"), "got -inf in line 3"),
    (("1e999", "1"), "got inf in line 2"),
    (("9007199254740993", "1"), "integers that float64 tells apart, got 9007199254740993 in line 2"),
    (("1", "1600000000000000001"), "got 1600000000000000001 in line 3"),
    (("1", "18446744073709551617"), "got 18446744073709551617 in line 3")])
def test_numbers_that_float64_has_not(table, cells, words):
    for text in ("a,y\n{},1\n{},2\n", "y,a\n1,{}\n2,{}\n"):
        with pytest.raises(ValueError, match=f"column 'a' of my.csv must hold .*{words}"):
            fb.data.read(table(text.format(*cells)), "y")
        with pytest.raises(ValueError, match=words):
            fb.data.read(table(text.format(*cells)), "a")


# ---- the target, labels, weights

def test_columns_by_name_or_index(table):
    path = table("id,kind,a,b\n7,2,3,4\n8,5,6,7\n")
    found = fb.data.read(path, target="kind", drop=["id"])
    assert (rows(found), found.y.tolist()) == ([[3, 4], [6, 7]], [2, 5])
    assert fb.data.read(path, 1, drop=0).names == fb.data.read(path, "1", drop="0").names == ("a", "b")
    assert fb.data.read(path, -1, drop=("id", -3)).names == ("a",)
    assert fb.data.read(table("1,0,y\n5,6,7\n8,9,1\n"), header=True, target="0").y.tolist() == [6, 9]     # a name first


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"target": "gaol"}, ValueError, "target must be one of a, b, c, goal, got 'gaol' .did you mean 'goal'"),
    ({"target": "GOAL"}, ValueError, "did you mean 'goal'"), ({"target": "nothing alike"}, ValueError, "got 'nothing alike'$"),
    ({"target": 4}, ValueError, "target must be a column index between -4 and 3, got 4"),
    ({"target": True}, TypeError, "target must be a column's name or index, got True"),
    ({"target": 1.5}, TypeError, "target must be a column's name or index"),
    ({"target": ["a", "a"]}, ValueError, "target must be a column, or two of them that hold counts"),
    ({"target": ["a", "b", "c"]}, ValueError, "target must be a column, or two"),
    ({"target": ["a", 0]}, ValueError, "target must be a column, or two of them that hold counts"),
    ({"drop": "goal"}, ValueError, "drop must not name the target column 'goal'"),
    ({"drop": "gaol"}, ValueError, "drop must be one of .*did you mean 'goal'"),
    ({"drop": ["a", "b", "c"]}, ValueError, "drop must leave at least one column for X"),
    ({"drop": 1.5}, TypeError, "drop must be a column's name or index, or a list of them"),
    ({"weights": "goal"}, ValueError, "weights must not name the target"),
    ({"weights": "a", "drop": "a"}, ValueError, "drop must not name the column of weights 'a'"),
    ({"weights": "w"}, ValueError, "weights must be one of"),
    ({"labels": "signs"}, ValueError, "labels must be one of binary, index, of two labels the one that is .1"),
    ({"labels": [1]}, ValueError, r"labels must be .*got \[1\] for \[1.0, 2.0, 3.0\]"),
    ({"labels": "binary"}, ValueError, "two distinct values in the target, got 3"),
    ({"categories": "dummy"}, ValueError, "categories must be one of onehot, refuse"),
    ({"missing": "mean"}, ValueError, "missing must be one of drop, refuse"),
    ({"header": 1}, TypeError, "header must be True, False or None")])
def test_bad_arguments_get_one_sentence(table, options, error, words):
    with pytest.raises(error, match=words):
        fb.data.read(table(CSV + "3,4,5,3\n"), **options)


def test_of_many_columns_the_near_ones_are_named(table):
    names = [f"feature{i:03}" for i in range(300)]
    path = table(",".join(names) + "\n" + ",".join("1" * 300) + "\n")
    with pytest.raises(ValueError, match="and 292 more, got 'feature77' .did you mean 'feature") as told:
        fb.data.read(path, "feature77")
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(("text", "words"), [
    ("", "at least one row"), ("\n\n", "at least one row"), ("a,b\n", "at least 1 row and 2 columns"), ("1\n2\n", "2 columns"),
    ("a\n1\n2\n", "2 columns"), ("a,b\n1,2\n3,4,5\n", "must have 2 cells in every row, got: Expected 2 fields in line 3, saw 3"),
    ("a,b\n1,2,3,4\n3,4,5,6\n", "must have 2 cells in every row, got 4"),
    ('a,b\n1,"2\n3,4\n', "must have 2 cells in every row"),
    ("a,a,b\n1,2,3\n", "columns of my.csv must have different names, got 'a' more than once"),
    ("a, a,b\n1,2,3\n", "got 'a' more than once"), ("(intercept),y\n1,2\n", "not '.intercept.'"),
    ("a,b\n1,\0\n", "NUL in line 2"), (b"a,\xff\n1,2\n", "none at byte 2: save it as UTF-8"), ("a,b\n1,2\n".encode("utf-16"), "UTF-8")])
def test_files_that_are_no_table(table, text, words):
    with pytest.raises(ValueError, match=words) as told:
        fb.data.read(table(text))
    assert "my.csv" in str(told.value)
    assert "\n" not in str(told.value)


def test_names_of_any_length_make_short_sentences(table):
    path = table("a" * 9000 + ",b,y\n1,2,0\n3,4,1\n")
    for wrong in ("z", "a" * 8999, "z" * 9000):
        with pytest.raises(ValueError, match="target must be one of aaaa") as told:
            fb.data.read(path, wrong)
        assert len(str(told.value)) < 400


def test_labels_stay_what_they_are_or_are_ordered_as_asked(table):
    path = table("a,k\n1,no\n2,yes\n3,yes\n4,no\n")
    found = fb.data.read(path)
    assert (found.y.tolist(), found.classes) == (["no", "yes", "yes", "no"], ("no", "yes"))
    assert "labels: +1 is 'yes', −1 is 'no'" in repr(found)
    assert fb.data.read(path, labels="binary").y.tolist() == [-1, 1, 1, -1]
    assert fb.data.read(path, labels="index").y.tolist() == [0, 1, 1, 0]
    for labels in ("no", "yes,no", ["yes", "no"]):
        turned = fb.data.read(path, labels=labels)
        assert turned.classes == ("yes", "no")
        told = fb.separability(*turned)
        assert told.classes.tolist() == ["yes", "no"]
        plain = fb.separability(turned.X, [1, -1, -1, 1])
        assert told.separable == plain.separable
    flags = fb.data.read(table("a,k\n1,True\n2,False\n"))
    assert (flags.y.tolist(), flags.classes) == ([True, False], (False, True))
    zeros = fb.data.read(table("a,k\n1,0\n2,1\n3,1\n"))
    assert (zeros.y.tolist(), zeros.classes) == ([0, 1, 1], ())
    assert fb.data.read(table("a,k\n1,0\n2,1\n3,1\n"), labels="0").classes == (1.0, 0.0)
    mixed = table("a,k\n1,10\n2,9\n3,x\n")
    assert fb.data.read(mixed, labels="index").y.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="column 'k' of my.csv must hold numbers, got 'x' in line 4"):
        fb.data.read(mixed)
    assert fb.data.read(table("a,k\n1,10\n2,9\n3,9\n"), labels="index").classes == (9.0, 10.0)
    three = fb.data.read(table("a,k\n1,lo\n2,mid\n3,hi\n"), labels=["lo", "mid", "hi"])
    assert fb.max_margin(*three, intercept=True).classes.tolist() == ["lo", "mid", "hi"]


def test_two_columns_of_counts_are_a_target(table):
    path = table("dead,alive,dose,n\n1,4,0,2\n2,3,1,1\n5,0,2,1\n,3,9,1\n")
    for target in ("dead,alive", ["dead", "alive"], (0, 1)):
        found = fb.data.read(path, target, drop="n")
        assert (found.names, found.dropped, found.classes) == (("dose",), 1, ("alive", "dead"))
        assert rows(found) == [[0], [1], [2]] * 2
        assert found.y.tolist() == ["dead"] * 3 + ["alive"] * 3
        assert found.weights.tolist() == [1, 2, 5, 4, 3, 0]
    one_each = fb.separation([[0]] * 5 + [[1]] * 5 + [[2]] * 5, [1, 0, 0, 0, 0, 1, 1, 0, 0, 0] + [1] * 5, names=["dose"])
    told = fb.separation(*found, weights=found.weights)
    assert told.kind == one_each.kind
    assert told.finite["dose"] == pytest.approx(one_each.finite["dose"], rel=1e-12)
    assert told.classes.tolist() == ["alive", "dead"]
    assert fb.data.read(path, "dead,alive", weights="n").weights.tolist() == [2, 2, 5, 8, 3, 0]
    with pytest.raises(ValueError, match="labels must be left out"):
        fb.data.read(path, "dead,alive", labels="dead")
    with pytest.raises(ValueError, match="column 'alive' of my.csv must be >= 0, got -1"):
        fb.data.read(table("dead,alive,a\n1,-1,2\n3,4,5\n"), "dead,alive")


def test_weights_are_a_column(table):
    found = fb.data.read(table("a,freq,y\n1,2,0\n2,0.5,1\n3,,1\n"), weights="freq")
    assert (found.names, found.weights.tolist(), found.dropped) == (("a",), [2, 0.5], 1)
    assert "weights of 2.5 in all" in repr(found)
    for text, words in (("a,w,y\n1,u,0\n2,v,1\n", "weights must be a column of numbers, got 'w' of my.csv with 'u'"),
                        ("a,w,y\n1,-1,0\n2,1,1\n", "column 'w' of my.csv must be >= 0"),
                        ("a,w,y\n1,0,0\n2,0,1\n", "must have an entry > 0")):
        with pytest.raises(ValueError, match=words):
            fb.data.read(table(text), weights="w")


# ---- DataFrames, NPZ files, results

def test_a_frame_is_read_as_a_file_is(table):
    frame = pd.DataFrame({"a": [1.5, np.nan, 3, 4], "k": ["u", "v", None, "v"], "n": pd.array([1, 2, 3, 5], "Int64"),
                          "b": pd.array([True, None, False, False], "boolean"), "y": ["p", "q", "p", "q"]},
                         index=[10, 20, 30, 40])
    found = fb.data.read(frame, "y")
    assert (found.names, found.dropped, found.X.index.tolist()) == (("a", "k_v", "n", "b_True"), 2, [10, 40])
    assert rows(found) == [[1.5, 0, 1, 1], [4, 1, 5, 0]]
    assert frame.shape == (4, 5)
    assert frame["a"].isna().sum() == 1
    numbered = fb.data.read(pd.DataFrame(np.eye(3)), 2)
    assert (numbered.names, numbered.target) == (("0", "1"), "2")
    with pytest.raises(ValueError, match="column 'k' of the DataFrame must hold numbers, got 'x' in row 40"):
        fb.data.read(frame.assign(k=[1, 2, 3, "x"]), "y")
    for wrong, error, words in (
            (frame.assign(t=pd.to_datetime(["2021-01-01"] * 4)), ValueError, "got dates: make numbers of them"),
            (frame.assign(t=pd.to_timedelta([1] * 4)), ValueError, "got timedelta64"),
            (frame.assign(t=[1 + 2j] * 4), ValueError, "got complex128"),
            (frame.assign(t=[[1]] * 4), ValueError, "must hold numbers"),
            (frame.rename(columns={"a": "k"}), ValueError, "the DataFrame must have different names"),
            (frame[["y"]], ValueError, "at least 1 row and 2 columns"), (frame[:0], ValueError, "at least 1 row"),
            (frame["a"], TypeError, "path must be a path"), ([[1, 2]], TypeError, "path must be a path")):
        with pytest.raises(error, match=words):
            fb.data.read(wrong, "y")
    with pytest.raises(ValueError, match="header is for text files"):
        fb.data.read(frame, "y", header=True)


def test_a_table_is_not_changed_in_place(table):
    """A plan that took X and y from it keeps them: another y is another table."""
    found = fb.data.read(table(CSV))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.y = -found.y
    assert dataclasses.replace(found, y=-found.y).y.tolist() == [-1, -2]
    assert found.y.tolist() == [1, 2]


def test_npz(tmp_path):
    path = tmp_path / "my.npz"
    np.savez(path, X=np.eye(2), y=[1, 2], other=[0, 1], kind=["u", "v"], c=[3, 4])
    assert fb.data.read(path).y.tolist() == [1, 2]
    found = fb.data.read(path, target="other", labels="binary", weights="c")
    assert (found.y.tolist(), found.weights.tolist()) == ([-1, 1], [3, 4])
    found = fb.data.read(path, target="kind")
    assert (found.y.tolist(), found.classes) == (["u", "v"], ("u", "v"))
    assert fb.separability(*fb.data.read(path, target="kind", labels="u")).classes.tolist() == ["v", "u"]
    for options, words in (({"target": "z"}, "array named 'z', got X, y, other"), ({"drop": "a"}, "header, drop and factors are for CSV"),
                           ({"target": 1}, "name of an array"), ({"weights": 1}, "weights must be the name of an array"),
                           ({"weights": "z"}, "array named 'z'")):
        with pytest.raises(ValueError, match=words):
            fb.data.read(path, **options)
    np.savez(path, X=np.eye(2), y=[np.nan, 1])
    with pytest.raises(ValueError, match="y must be finite, got nan at index 0"):
        fb.data.read(path, labels="binary")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="whole NPZ"):
        fb.data.read(path)


def test_no_repr_is_long(table):
    names = ",".join(f"k{i}" for i in range(100))
    lines = "\n".join(",".join("uv"[(i + j) % 2] for j in range(100)) + f",{i % 2}" for i in range(6))
    found = fb.data.read(table(f"{names},y\n{lines}\n"))
    assert len(repr(found).splitlines()) < 10
    assert max(map(len, repr(found).splitlines())) < 400
    frame = pd.DataFrame({"a\n" * 50: [1, 2.0], "b" * 5000: ["u", "v"], "y" * 5000: [0, 1]})
    lines = repr(fb.data.read(frame)).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) < 300


def test_codes_are_factors_where_that_is_said(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("size,ward,y\n1.5,3,0\n2.5,1,1\n3.5,,1\n4.5,2,0\n5.5,3,1\n")
    plain = fb.data.read(path)
    assert plain.names == ("size", "ward")
    for which in ("ward", ["ward"], 1):
        table = fb.data.read(path, factors=which)
        assert table.names == ("size", "ward_2", "ward_3")                  # of 1, 2, 3, though gaps made them floats
        assert table.baselines == {"ward": 1}
        assert table.X.to_numpy().tolist() == [[1.5, 0, 1], [2.5, 0, 0], [4.5, 1, 0], [5.5, 0, 1]]
        assert "factors: ward (against 1)" in table.notes
    frame = pd.DataFrame({"half": [0.5, 1.5, 0.5], "y": [1, 2, 3]})
    assert fb.data.read(frame, factors="half").names == ("half_1.5",)
    assert list(frame.dtypes.astype(str)) == ["float64", "int64"]           # the user's own is as it was
    for bad, told in (("y", "factors must name columns of X, got 'y'"), ("none", "factors must be one of size, ward, y"),
                      (2.5, "factors must be a column's name or index")):
        with pytest.raises((ValueError, TypeError), match=told):
            fb.data.read(path, factors=bad)
