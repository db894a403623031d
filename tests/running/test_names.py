"""Names of columns: from a table or a DataFrame to everything that is printed of it."""
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import fastbias as fb
from fastbias.checks import files
from fastbias.running import checkpoint

X = pd.DataFrame({"age": [1, 1, -3, -1.0], "dose": [0, 1, -2, -3.0], "kind_b": [1, 3, 1, 2.0]})
Y = pd.Series(["yes", "yes", "no", "no"], name="ill")
NAMES = ("age", "dose", "kind_b")
GD = fb.methods.gradient_descent(0.1)


def plan(**options):
    return fb.Plan(X, Y, **{"loss": "logistic", "method": GD} | options)


def test_a_plan_and_what_comes_of_it_have_them():
    one = plan()
    trace = one.run(10)
    limit = one.limit()
    assert one.names == one.problem.names == limit.names == NAMES
    assert str(limit).splitlines()[0] == "limit direction: " + ", ".join(
        f"{name}: {value:.6g}" for name, value in zip(NAMES, limit.w, strict=True))
    frame = trace.to_pandas()
    assert list(frame) == ["log_loss", "w[age]", "w[dose]", "w[kind_b]"]
    assert np.array_equal(frame["w[dose]"], trace.w[:, 1])
    assert trace.to_xarray()["w"].sel(i="dose").values.tolist() == trace.w[:, 1].tolist()
    bare = fb.Plan(X.to_numpy(), Y, loss="logistic", method=GD)
    assert bare.names is None
    assert bare.limit().names is None
    assert list(bare.run(3).to_pandas()) == ["log_loss", "w0", "w1", "w2"]
    assert np.array_equal(bare.run(7).w[-1], trace.w[-1])
    assert "limit direction: [" in str(bare.limit())


def test_an_intercept_is_called_one():
    one = plan(intercept=True)
    assert one.names == (*NAMES, "(intercept)")
    assert "(intercept): " in str(one.limit()).splitlines()[0]
    assert list(one.run(2).to_pandas())[-1] == "w[(intercept)]"
    flat = fb.max_margin(X, Y, intercept=True)
    assert flat.names == NAMES                              # b is beside w there
    assert str(flat).startswith("limit direction: age: ")


def test_classes_come_before_columns():
    y = pd.Categorical(["lo", "mid", "hi", "hi"], ["lo", "mid", "hi"])
    one = plan(loss="cross_entropy")
    assert list(one.run(2).to_pandas())[1] == "w[no: age]"
    three = fb.Plan(X, y, loss="cross_entropy", method=GD)
    assert three.problem.classes.tolist() == ["lo", "mid", "hi"]
    assert three.problem.y.tolist() == [0, 1, 2, 2]
    assert list(three.run(2).to_pandas())[1:] == [f"w[{c}: {name}]" for c in ("lo", "mid", "hi") for name in NAMES]
    assert "… 1 more" in str(fb.max_margin(X, y)).splitlines()[0]     # nine entries, the largest eight
    assert three.run(2).evaluate(X, y).error.shape == (3,)


def test_of_many_entries_the_largest_are_named():
    wide = pd.DataFrame(np.eye(20)[:2] * 3, columns=[f"gene{j}" for j in range(20)])
    told = str(fb.minimum_norm(wide, [1, -30], "l2")).splitlines()[0]
    assert told.startswith("limit point: gene1: -10, gene0: 0.333333, ")
    assert told.endswith("… 12 more")


@pytest.mark.parametrize("call", [lambda X: fb.max_margin(X, Y), lambda X: fb.minimum_norm(X[:2], [1, 2]),
                                  lambda X: fb.bregman_projection(X[:2], [1, 2], "euclidean")])
def test_solvers_keep_them(call):
    assert call(X).names == NAMES
    assert call(X.to_numpy()).names is None
    assert np.array_equal(call(X).w, call(X.to_numpy()).w)


def test_separation_takes_those_given_before_its_own():
    assert list(fb.separation(X, Y).coefficients) == [*NAMES, "(intercept)"]
    assert list(fb.separation(X, Y, names=["a", "b", "c"]).coefficients) == ["a", "b", "c", "(intercept)"]
    assert fb.diagnose(X, Y, [1, 1, 1]).fractions == fb.diagnose(X.to_numpy(), Y, [1, 1, 1]).fractions


@pytest.mark.parametrize("columns", [[0, 1, 2], ["a", "a", "b"], ["a", "b", 3], ["a", "b", "(intercept)"],
                                     pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)])])
def test_names_that_are_none_are_left_out(columns):
    bare = X.set_axis(columns, axis=1)
    assert fb.Plan(bare, Y, loss="logistic", method=GD).names is None
    assert list(fb.separation(bare, Y).coefficients) == ["x0", "x1", "x2", "(intercept)"]


def test_they_survive_pickles_and_checkpoints(tmp_path):
    one = plan(intercept=True)
    one.run(5)
    one.save(tmp_path / "p.npz")
    for again in (pickle.loads(pickle.dumps(one)), fb.Plan.load(tmp_path / "p.npz")):
        assert again.names == one.names
        assert again.limit().names == one.names
        assert list(again.trace.to_pandas()) == list(one.trace.to_pandas())
    assert pickle.loads(pickle.dumps(one.limit())).names == one.names
    # files of before have none, and neither have those of plans without
    arrays, about = checkpoint.read(tmp_path / "p.npz")
    assert about.pop("names") == list(one.names)
    checkpoint.write(tmp_path / "old.npz", arrays, about)
    assert fb.Plan.load(tmp_path / "old.npz").names is None
    assert "names" not in checkpoint.asked(fb.Plan(X.to_numpy(), Y, loss="logistic", method=GD))[1]
    for wrong in (["a"], ["a", "b", "c", "c"], ["a", "b", "c", 4], "abcd", {"a": 1}, [], [None] * 4):
        checkpoint.write(tmp_path / "bad.npz", arrays, about | {"names": wrong})
        with pytest.raises(ValueError, match="whose content does not|must be"):
            fb.Plan.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("labels", [Y, ["no", "yes", "no", "maybe"], [3, 5, 5, 3]])
def test_they_survive_traces_in_files(labels, tmp_path):
    loss = "cross_entropy" if "maybe" in list(labels) else "logistic"
    trace = fb.Plan(X, labels, loss=loss, method=GD, intercept=True).run(5)
    trace.save(tmp_path / "t.npz")
    again = fb.Trace.load(tmp_path / "t.npz")
    assert again.problem is None
    assert again.names == trace.names == (*NAMES, "(intercept)")
    assert again.classes.tolist() == trace.classes.tolist() == sorted({*labels})
    assert repr(again) == repr(trace)
    assert "dose: " in repr(again)
    assert list(again.to_pandas()) == list(trace.to_pandas())
    assert list(again.to_xarray().coords[again.to_xarray()["w"].dims[-1]].values) == list(trace.names)
    assert again.plot("trajectory").get_xlabel() == trace.plot("trajectory").get_xlabel() == trace.called[0]
    later = fb.Trace.load(tmp_path / "t.npz")
    assert (again.join(later).names, again.join(later).classes.tolist()) == (trace.names, trace.classes.tolist())
    later.save(tmp_path / "again.npz")
    assert fb.Trace.load(tmp_path / "again.npz").called == trace.called


def test_traces_in_files_of_before_have_none(tmp_path):
    bare = fb.Plan(X.to_numpy(), np.arange(len(X)), loss="squared", method=GD).run(5)
    bare.save(tmp_path / "t.npz")
    kept = dict(np.load(tmp_path / "t.npz"))
    assert not {"kept_names", "kept_classes"} & set(kept)      # as they were written before
    old = fb.Trace.load(tmp_path / "t.npz")
    assert old.names is old.classes is old.called is None
    assert list(old.to_pandas()) == ["log_loss", "w0", "w1", "w2"]
    for wrong in (["a"], ["a", "b", "b"], [1, 2, 3], [["a", "b", "c"]]):
        files.write(tmp_path / "bad.npz", files.seal(kept | {"kept_names": np.array(wrong)}))
        with pytest.raises(ValueError, match=r"Trace\.save wrote"):
            fb.Trace.load(tmp_path / "bad.npz")


def test_an_order_of_categories_survives_too(tmp_path):
    y = pd.Categorical(["yes", "yes", "no", "no"], ["yes", "no"])
    one = fb.Plan(X, y, loss="logistic", method=GD)
    assert one.problem.y.tolist() == [-1, -1, 1, 1]
    one.save(tmp_path / "p.npz")
    again = fb.Plan.load(tmp_path / "p.npz")
    assert again.problem.classes.tolist() == ["yes", "no"]
    assert again.run(3).evaluate(X, Y).error.tolist() == one.run(3).evaluate(X, y).error.tolist()
    assert "labels: +1 is 'no', −1 is 'yes'" in str(again.limit())
    assert fb.max_margin(X, y).classes.tolist() == fb.separation(X, y).classes.tolist() == ["yes", "no"]
    assert np.allclose(fb.max_margin(X, y).w, -fb.max_margin(X, Y).w)
    weighed = fb.Plan(X, pd.Series(pd.Categorical(["b", "a", "c", "c"], ["c", "b", "a"])), loss="logistic", method=GD,
                      weights=[1, 0, 1, 1])
    assert weighed.problem.classes.tolist() == ["c", "b"]


def test_sweeps_keep_them():
    swept = fb.sweep(plan(), {"step_size": [0.1, 0.2]}, steps=5)
    made = fb.sweep([plan(), plan()], steps=5, executor=ThreadPoolExecutor(1))
    for sweep in (swept, made):
        assert [one.names for one in sweep.plans] == [NAMES] * 2
        assert sweep[1].problem.names == NAMES
        assert list(sweep.to_pandas("w"))[-3:] == ["w[age]", "w[dose]", "w[kind_b]"]
    relabelled = fb.sweep(plan(), {"y": [[1, 1, -1, -1]]}, steps=5)
    assert relabelled.plans[0].names == NAMES
    assert list(fb.sweep(fb.Plan(X.to_numpy(), Y, loss="logistic", method=GD), {"step_size": [0.1]}, steps=5)
                .to_pandas("w"))[-3:] == ["w0", "w1", "w2"]


def test_a_table_goes_all_the_way():
    table = fb.data.read(pd.read_csv(io.StringIO("age;sex;ill\n1;f;no\n2;m;no\n4;m;yes\n5;f;yes\n"), sep=";"), "ill")
    one = fb.Plan(*table, loss="logistic", method=GD, intercept=True)
    assert one.names == ("age", "sex_m", "(intercept)")
    assert "labels: +1 is 'yes', −1 is 'no'" in str(one.limit())
    assert "age: " in str(fb.max_margin(*table, intercept=True))


def test_paths_keep_them():
    ball = fb.regularisation_path(X, Y, [1.0, 2.0])
    lasso = fb.l1_path(X, np.arange(len(X)), 3)
    for path in (ball, lasso):
        assert path.names == ("age", "dose", "kind_b")
        assert "dose: " in repr(path)
        told = {text.get_text() for text in path.plot().get_legend().get_texts()}
        assert told == set(path.names)
    assert fb.l1_path(X, np.zeros(len(X)), 3).names == ("age", "dose", "kind_b")
    assert fb.l1_path(X.to_numpy(), np.arange(len(X)), 3).names is None
