"""Bad input gets one sentence that names the argument; all reasonable forms of good input are taken."""
import numpy as np
import pytest
import scipy.sparse

import fastbias as fb
import fastbias.running.cli

m = fb.methods
X, y = [[1.0, 2.0, 0.5], [0.0, 1.0, 1.0]], [1.0, 2.0]
GD = m.gradient_descent(0.01)
NAN, INF = float("nan"), float("inf")


def plan(X=X, y=y, loss="squared", method=GD, **options):
    return fb.Plan(X, y, loss=loss, method=method, **options)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: plan(X=[[1, NAN, 2], [1, 2, 3]]), ValueError, r"X must be finite, got nan at index \(0, 1\)"),
    (lambda: plan(X=[[1, INF, 2], [1, 2, 3]]), ValueError, "X must be finite, got inf"),
    (lambda: plan(y=[1, NAN]), ValueError, "y must be finite, got nan at index 1"),
    (lambda: plan(X=np.empty((0, 3)), y=[]), ValueError, "X must be .* not empty"),
    (lambda: plan(X=np.empty((2, 0))), ValueError, "X must be .* not empty"),
    (lambda: plan(X=[1.0, 2.0]), ValueError, r"X must be an \(N, d\) or \(N, m, n\), got shape \(2,\)"),
    (lambda: plan(X=3.0), ValueError, "X must be"),
    (lambda: plan(X=np.zeros((2, 2, 2, 2))), ValueError, "X must be"),
    (lambda: plan(X=[[1, 2], [3]]), ValueError, "rows of different lengths"),
    (lambda: plan(y=[1.0]), ValueError, "y must have one entry for each row of X, got 1 entries for 2 rows"),
    (lambda: plan(y=[[1.0, 2.0]]), ValueError, "y must have one row for each row of X, got 1 rows for 2 rows"),
    (lambda: plan(X=np.array(X, object)), TypeError, "X must be .* real numbers, got dtype object"),
    (lambda: plan(X=[[1, None], [1, 2]]), TypeError, "dtype object"),
    (lambda: plan(X=np.array(X, complex)), TypeError, "dtype complex128"),
    (lambda: plan(X=[["1", "2"], ["3", "4"]]), TypeError, "X must be .* real numbers"),
    (lambda: plan(X=scipy.sparse.eye(2).tocsr() * 1j), TypeError, "X must be .* or a sparse .* of real numbers"),
    (lambda: plan(X=scipy.sparse.coo_array(np.eye(2) * NAN)), ValueError, "X must be finite"),
    (lambda: plan(X=np.ma.masked_greater(np.array(X), 1.5)), TypeError, "masked"),
    (lambda: plan(loss="sqared"), ValueError, "loss must be one of .*did you mean 'squared'"),
    (lambda: plan(loss=3), TypeError, "loss must be"),
    (lambda: plan(method="gradient"), TypeError, "method must come from fb.methods"),
    (lambda: plan(model=3), TypeError, "model must be"),
    (lambda: plan(model="liner"), ValueError, "model must be one of linear"),
    (lambda: plan(start=[1.0]), ValueError, "start must have 3 entries, got shape"),
    (lambda: plan(start=[1.0, NAN, 1.0]), ValueError, "start must be finite"),
    (lambda: plan(method=m.mirror_descent("entropy", 0.1), start=[1, 0, 1]), ValueError,
     "start must lie inside the domain of the entropy potential"),
    (lambda: plan(method=m.mirror_descent(fb.potentials.quadratic([1, 2]), 0.1)), ValueError, "X must have 2 columns"),
    (lambda: plan(method=m.steepest_descent(fb.norms.quadratic([1, 2]), 0.1)), ValueError, "X must have 2 columns"),
    (lambda: m.gradient_descent(0), ValueError, "step_size must be a finite number > 0, got 0"),
    (lambda: m.gradient_descent(-1.0), ValueError, "step_size must be a finite number > 0, got -1"),
    (lambda: m.gradient_descent(NAN), ValueError, "step_size must be .* got nan"),
    (lambda: m.gradient_descent([0.1, 0.0]), ValueError, "step_size must be > 0 in every entry, got 0 at index 1"),
    (lambda: m.gradient_descent([0.1, NAN]), ValueError, "step_size must be finite"),
    (lambda: m.gradient_descent([]), ValueError, "step_size must be .* not empty"),
    (lambda: m.gradient_descent("0.1"), TypeError, "step_size must be a number or"),
    (lambda: m.gradient_descent(None), TypeError, "step_size must be a number or"),
    (lambda: m.gradient_descent(True), TypeError, "step_size must be"),
    (lambda: m.gradient_descent(0.1, momentum=True), TypeError, "momentum must be .* got True"),
    (lambda: m.gradient_descent(0.1, nesterov=np.bool_(True)), TypeError, "nesterov must be"),
    (lambda: m.gradient_descent(0.1, nesterov=[True, False]), TypeError, "nesterov must be .* bools"),
    (lambda: m.gradient_descent(0.1, momentum=-0.1), ValueError, "momentum must be a finite number >= 0, got -0.1"),
    (lambda: m.gradient_descent(0.1, momentum=[0.1, -0.1]), ValueError, "momentum must be >= 0 in every entry"),
    (lambda: m.gradient_descent(0.1, momentum=[[0.1]]), ValueError, "momentum must be"),
    (lambda: m.mirror_descent("entropy", 0.1, 0.5, 0.5), ValueError, "primal_momentum must be 0 where"),
    (lambda: m.mirror_descent("entrpy", 0.1), ValueError, "potential must be one of .*did you mean 'entropy'"),
    (lambda: m.mirror_descent(fb.norms.l1, 0.1), TypeError, "potential must be"),
    (lambda: m.natural_gradient(2, 0.1), TypeError, "potential must be"),
    (lambda: m.steepest_descent("l7", 0.1), ValueError, "norm must be one of l1, l2, linf, got 'l7'"),
    (lambda: m.steepest_descent(fb.potentials.entropy, 0.1), TypeError, "norm must be"),
    (lambda: m.steepest_descent("l1", 0.1, normalised=1), TypeError, "normalised must be True or False"),
    (lambda: fb.norms.lp(0.5), ValueError, "p must be a finite number >= 1, got 0.5"),
    (lambda: fb.norms.lp(NAN), ValueError, "p must be"),
    (lambda: fb.norms.lp("2"), TypeError, "p must be"),
    (lambda: fb.norms.quadratic([[1, 2], [2, 1]]), ValueError, "D must be positive definite, got smallest eigenvalue -1"),
    (lambda: fb.norms.quadratic([[1, 2], [0, 1]]), ValueError, "D must be symmetric"),
    (lambda: fb.potentials.quadratic([[1, 2]]), ValueError, "D must be square"),
    (lambda: fb.potentials.quadratic([1, 0]), ValueError, "D must be positive definite"),
    (lambda: fb.potentials.entropy.to_dual([-1.0]), ValueError, "inside the domain"),
    (lambda: fb.steps.power(1, -1), ValueError, "a must be"),
    (lambda: plan().run(-1), ValueError, "steps must be a whole number >= 0, got -1"),
    (lambda: plan().run(1.5), ValueError, "steps must be a whole number"),
    (lambda: plan().run(NAN), ValueError, "steps must be a whole number"),
    (lambda: plan().run(2**61, record=2**40), ValueError, r"record must make arrays that fit .* takes 3.28e\+04 GiB"),
    (lambda: fb.sweep([plan()], steps=2**61, record=2**40), ValueError, "record must make arrays that fit"),
    (lambda: fb.features.random_fourier(2, 2**40), ValueError, "dims, d must make arrays that fit"),
    (lambda: fb.norms.fourier(2**30), ValueError, "d must make arrays that fit"),
    (lambda: plan().run(3, progress="no"), TypeError, "progress must be True or False, got 'no'"),
    (lambda: plan().run(3, strict=None), TypeError, "strict must be True or False"),
    (lambda: fb.sweep([plan()], steps=3, progress=1), TypeError, "progress must be True or False"),
    (lambda: plan().limit(flow=[]), TypeError, "flow must be True or False"),
    (lambda: fb.data.random_regression(2**20, 2**30), ValueError, "N, d must make arrays that fit"),
    (lambda: fb.data.random_regression(2, 3, positive=[1, 2]), TypeError, "positive must be True or False"),
    (lambda: fb.data.random_regression(2, 3, rng="x"), TypeError, "rng must be"),
    (lambda: fastbias.running.cli.main("run"), TypeError, "argv must be a list of strings, got 'run'"),
    (lambda: fastbias.running.cli.main([1.0]), TypeError, "argv must be a list of strings"),
    (lambda: plan().run("10"), TypeError, "steps must be a whole number"),
    (lambda: plan().run(True), TypeError, "steps must be a whole number"),
    (lambda: fb.piece(fb.abi.VALUE)(lambda x: 1.0), TypeError, "must take 2 arguments"),
    (lambda: m.gradient_descent(10**400), ValueError, "step_size must fit into float64"),
    (lambda: plan().run(10**400), ValueError, "steps must fit into float64"),
    (lambda: plan().run(2**63), ValueError, "steps must be under 2"),
    (lambda: fb.norms.lp(10**400), ValueError, "p must fit"),
    (lambda: m.gradient_descent([[0.1], [0.1, 0.2]]), ValueError, "step_size must be"),
    (lambda: m.gradient_descent(0.1, momentum=[True, 0.5]), TypeError, "bools"),
    (lambda: plan(X=np.ones((1, 2, 3)), y=[1], start=np.zeros((3, 2))), ValueError, "start must have 6 entries or shape"),
    (lambda: plan(start=np.zeros((3, 1))), ValueError, "start must have 3 entries"),
    (lambda: fb.bregman_projection(X, y, fb.potentials.entropy, constraint=5), TypeError, "constraint must be a pair"),
    (lambda: fb.bregman_projection(X, y, fb.potentials.entropy, constraint=(X,)), TypeError, "constraint must be a pair"),
    (lambda: fb.bregman_projection(X, y, fb.potentials.quadratic([1, 2])), ValueError, "X must have 2 columns"),
    (lambda: fb.laws.check(fb.norms.quadratic([1, 2]), size=3), ValueError, "size must be 2"),
    (lambda: fb.steps.constant(-1), ValueError, "eta must be"),
    (lambda: fb.data.example(1), ValueError, "number must be 2, 3 or 4"),
    (lambda: fb.data.random_regression(0, 3), ValueError, "N must be a whole number >= 1"),
    (lambda: fb.bregman_projection([[1, 2]], [1, 2], fb.potentials.entropy), ValueError, "y must have one entry for each"),
])
def test_bad_input_gets_one_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250


FORMS = {
    "lists": (X, y),
    "integers": (np.array([[2, 4, 1], [0, 2, 2]], np.int32), [2, 4]),
    "float32": (np.array(X, np.float32), np.array(y, np.float32)),
    "Fortran": (np.asfortranarray(X), y),
    "strided": (np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3], np.repeat(y, 2)[::2]),
    "reversed": (np.array(X)[::-1, ::-1][::-1, ::-1], y),
    "tuple": (tuple(map(tuple, X)), tuple(y)),
    "float16": (np.array(X, np.float16), y),
    "0-d step": (X, y),
}


@pytest.mark.parametrize("form", FORMS)
def test_good_input_of_every_form_runs_alike(form):
    A, b = FORMS[form]
    scale = 2.0 if form == "integers" else 1.0
    trace = fb.run(A, b, loss=fb.losses.squared, method=m.gradient_descent(np.float64(0.01) / scale ** 2), steps=20)
    wanted = fb.run(X, y, loss="squared", method=GD, steps=20)
    assert trace.w == pytest.approx(wanted.w, rel=1e-12)
    assert trace.w.dtype == np.float64


def test_data_frames_read_only_arrays_and_copies():
    import pandas
    wanted = fb.run(X, y, loss="squared", method=GD, steps=20).w
    frame = pandas.DataFrame(X, columns=list("abc"))
    assert (fb.run(frame, pandas.Series(y), loss="squared", method=GD, steps=20).w == wanted).all()
    mixed = pandas.DataFrame({"a": [1, 0], "b": [2.0, 1.0], "c": [0.5, 1.0]})
    assert (fb.run(mixed, y, loss="squared", method=GD, steps=20).w == wanted).all()
    nullable = pandas.DataFrame({"a": pandas.array([1, 0], "Int64"), "b": [2.0, 1.0], "c": [0.5, 1.0]})
    assert (fb.run(nullable, y, loss="squared", method=GD, steps=20).w == wanted).all()
    flags = pandas.DataFrame({"a": [True, False], "b": [2.0, 1.0], "c": [0.5, 1.0]})
    assert (fb.run(flags, y, loss="squared", method=GD, steps=20).w == wanted).all()
    nullable.loc[0, "a"] = pandas.NA
    with pytest.raises(ValueError, match="X must be finite"):
        fb.run(nullable, y, loss="squared", method=GD, steps=1)
    with pytest.raises(TypeError, match="dtype object"):
        fb.run(pandas.DataFrame({"a": ["x", "y"], "b": [1, 2]}), y, loss="squared", method=GD, steps=1)
    A = np.array(X)
    A.setflags(write=False)
    assert (fb.run(A, y, loss="squared", method=GD, steps=20).w == wanted).all()
    A = np.array(X)
    p = plan(X=A)
    A[:] = 7                                                   # the plan has a copy
    p.u[:] = 7                                                 # and gives one away
    assert (p.run(20).w == wanted).all()
    start = np.zeros(3)
    p = plan(start=start)
    p.run(5)
    assert (start == 0).all()


def test_named_pieces_are_the_pieces():
    assert plan(loss="squared").problem.loss is fb.losses.squared
    assert m.mirror_descent("entropy", 0.1).geometry is fb.potentials.entropy
    assert m.steepest_descent("linf", 0.1).geometry is fb.norms.linf


def test_one_sample_one_feature_and_steps_as_floats():
    trace = fb.run([[2.0]], [4.0], loss="squared", method=m.gradient_descent(0.125), steps=1e1)
    assert trace.w[-1] == pytest.approx([2.0])
    assert trace.t[-1] == 10
