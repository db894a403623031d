"""What results print: short, whole in what matters, and the same in HTML, whatever the data."""
import dataclasses
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest

import fastbias as fb
from fastbias.checks import shown
from fastbias.checks.shown import Bar, Shown, Spark, Table
from fastbias.discovery.hunting import Found
from fastbias.discovery.identifying import Identity
from fastbias.trace.elsewhere import Evaluation

EMPTY = {"br", "rect", "circle", "polyline"}             # tags that need no end
LINES, WIDTH = 30, 1000


class Page(HTMLParser):
    """Tags that are open, all text, and all tags seen."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.seen = [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_data(self, data):
        self.text += data


def rows(page):
    return page.seen.count("tr") + page.seen.count("p")


def large(N=40, d=300, K=1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, d))
    return X, rng.integers(0, K, N) if K > 1 else np.where(X[:, 0] > 0, 1, -1)


def trace(w, **more):
    K = len(w)
    t = np.arange(K)
    return fb.Trace(t, w.reshape(K, int(np.prod(w.shape[1:]))), w, -np.linspace(0, 9, K), **more)


def limit(w, **more):
    hypotheses = tuple(fb.theory.Hypothesis(f"statement {i}", (True, False, None)[i % 3], "evidence " * 30) for i in range(40))
    return fb.Limit(w, "direction", "a theorem", "a source", hypotheses, True, 1e-16, np.full(999, 1 / 999), margin=0.5,
                    norm=fb.norms.l2, support=np.arange(999), **more)


@cache
def results():
    """Public results of many rows, features, classes, steps, hypotheses: none of it may show."""
    rng = np.random.default_rng(1)
    names = tuple(f"<b>&{j}" for j in range(1000))
    wide, tall = rng.normal(size=1000), rng.normal(size=(300, 1000))
    X, y = large()
    K = 40
    many = fb.separability(X, y)
    out = {
        "trace": trace(tall), "trace of matrices": trace(tall.reshape(300, 20, 50)), "trace of one": trace(tall[:1]),
        "trace of nothing": trace(tall[:0]),
        "trace without w": trace(tall[:2], least=np.zeros(2)),
        "limit": limit(wide), "limit of classes": limit(rng.normal(size=(K, 500)), classes=np.arange(K).astype(str)),
        "ray": dataclasses.replace(limit(wide), kind="ray", offset=wide),
        "no theorem": fb.NoTheorem("no " * 400, hypotheses=limit(wide).hypotheses),
        "separability": many, "overlap": fb.separability(np.zeros((500, 3)), rng.integers(0, 2, 500)),
        "classes": fb.separability(rng.normal(size=(60, 100)), np.arange(60) % 20),
        "evaluation": Evaluation(rng.random(400), rng.random(400)),
        "diagnosis": fb.solvers.diagnose.Diagnosis({f"norm {i}": i / 99 for i in range(99)}, "norm 98", 2.0, 1.0,
                                                   {f"norm {i}": 0.0 for i in range(99)}, ("norm 98",), (2.0, 2.0)),
        "l1 path": fb.solvers.lasso.RegularisationPath(np.geomspace(1, 1e-4, 300), tall, rng.random(300)),
        "ball path": fb.solvers.regularisation.BallPath(np.geomspace(1, 100, 300), tall, -rng.random(300), rng.random(300)),
        "sweep": fb.Sweep([{} for _ in range(500)], (500,), [None] * 500, [None] * 500,
                          {i: ValueError("x\n" * 50) if i % 2 else type(f"E{i}", (Exception,), {})("y") for i in range(500)}),
        "separation": fb.separation(np.round(rng.normal(size=(60, 40)), 1), rng.integers(0, 2, 60), names=names[:40]),
        "features": fb.features.random_fourier(dims=3, d=500, gamma=1.0, rng=0),
        "plan": fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(rng.random(500))),
        "plan on classes": fb.Plan(X, np.arange(40), loss="cross_entropy", method=fb.methods.gradient_descent(0.1)),
        "relu": fb.relu.fit(np.arange(300.0), rng.normal(size=300)),
    }
    some = {f"norm {i}": i / 99 for i in range(99)}
    axioms = dict.fromkeys(fb.axioms.AXIOMS, 0.5)
    failed = fb.sweep(fb.Plan(X[:, :2], y, loss="logistic", method=fb.methods.gradient_descent(0.1)), {"step_size": [-1.0] * 60}, steps=1)
    out |= {
        "examination": fb.axioms.Examination(dict.fromkeys(axioms, True), axioms, axioms, {"kind": "tree"}, 9, {}),
        "steepness": fb.bridges.Steepness("lp", 1.5, 0.1, some, 1.0, "varying"),
        "last layer": fb.bridges.LastLayer(some, "norm 98", 1.0, {0.1**k: 10.0 * k for k in range(40)}, out["diagnosis"], out["limit"]),
        "hunt": Found(rng.normal(size=(300, 300)), None, 0.5, 7, "a statement " * 90),
        "identity": Identity("quadratic", np.eye(300), 0.1, some),
        "projections": fb.continual.Projections(tall, np.zeros(299, int), (), np.zeros(299), True),
        "widest": fb.relu.margin(rng.normal(size=(30, 2)), np.arange(30) % 2), "failures": failed.failures, "traces": failed.traces,
        "plans": failed.plans, "points": failed.points, "problem": out["plan"].problem,
        "average": fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1, average="mean")).run(3).averaged(),
    }
    out["rates"] = out["trace"].rates(dataclasses.replace(limit(wide), kind="point"))
    out["series"] = out["rates"][0]
    out["function"] = out["relu"].function
    problem = dataclasses.replace(out["plan"].problem, names=names[:300])
    return out | {"trace with names": trace(tall[:, :300], problem=problem), "limit with names": limit(wide, names=names)}


RESULTS = ("trace", "trace of matrices", "trace of one", "trace of nothing", "trace without w", "limit", "limit of classes",
           "ray", "no theorem", "separability", "overlap", "classes", "evaluation", "diagnosis", "l1 path", "ball path",
           "sweep", "separation", "examination", "steepness", "last layer", "hunt", "identity", "projections", "widest", "failures",
           "traces", "plans", "points", "problem", "average", "features", "plan", "plan on classes", "relu", "rates", "series", "function",
           "trace with names", "limit with names")


def kinds(base):
    """The classes under one that have none under themselves."""
    return {kind for below in base.__subclasses__() for kind in (kinds(below) or {below})}


def test_all_are_looked_at():
    assert set(results()) == set(RESULTS)
    assert {kind for kind in kinds(Shown) if kind.__module__.startswith("fastbias")} <= {*map(type, results().values())}
    assert repr(results()["failures"]) == "<failures: " + "".join(f"run {i} ValueError, " for i in range(4)) + "56 more>"


@pytest.mark.parametrize("name", RESULTS)
def test_nothing_prints_more_than_thirty_lines(name):
    found = results()[name]
    for told in (repr(found), str(found)):
        assert 0 < len(told.splitlines()) <= LINES
        assert max(map(len, told.splitlines())) <= WIDTH
    if hasattr(found, "_repr_html_"):
        page = Page(found._repr_html_())
        assert page.open == []
        assert rows(page) <= LINES
        assert "b" not in page.seen                      # a name that is a tag


@pytest.mark.parametrize("name", ["trace", "limit", "no theorem", "sweep", "separation", "diagnosis", "separability",
                                  "rates", "series", "evaluation", "l1 path", "ball path", "relu",
                                  "examination", "steepness", "last layer", "hunt", "identity", "projections", "widest", "average"])
def test_results_show_themselves_in_notebooks(name):
    page = results()[name]._repr_html_()
    assert page.startswith(("<p><strong>", "<table>\n<tr><th>limit direction</th>"))


def test_what_matters_is_there():
    told = repr(results()["limit"])
    assert "certified, residual 1.0e-16" in told
    assert "margin 0.5 in the norm l2, on 999 support vectors" in told
    assert "… 992 more" in told
    w = results()["limit"].w
    assert f"x{np.abs(w).argmax()}: " in told
    assert told.startswith("limit direction: x")
    assert told.count("[open]") > 1
    assert told.splitlines()[-1] == f"… {40 + 4 - 29} lines more"


def test_numbers_shown_are_those_of_the_result():
    X, y = [[1, 0, 1], [1, 1, 3], [-3, -2, 1]], [1, 1, -1]
    plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    run = plan.run(50)
    told = repr(run)
    assert "rows to t = 50: OK" in told
    assert f"{run.log_loss[0]:.6g}" in told
    assert f"{run.log_loss[-1]:.6g}" in told
    assert f"{np.linalg.norm(run.w[-1]):.6g}" in told
    found = run.rates(plan.limit())
    assert isinstance(found, tuple)
    line = next(line for line in repr(found).splitlines() if "log t L" in line)
    assert f"{found[-1].fitted:.4g}" in line
    assert repr(found[-1]).splitlines()[-1].split()[:3] == line.split()[:3]
    page = Page(found._repr_html_())
    assert page.seen.count("polyline") == len(found)


@pytest.mark.parametrize("name", ["trace with names", "limit with names", "separation"])
def test_names_of_features_are_printed_and_escaped(name):
    told = repr(results()[name])
    assert "<b>&" in told
    assert "x1" not in told
    page = results()[name]._repr_html_()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page


def test_sparklines_and_bars():
    assert shown.text([Table([("a", Spark(np.array([0.0, np.nan, 7.0])))])]) == "  a  ▁ █"
    assert shown.text([Table([("a", Spark(np.full(5, 3.0)), "1")])]) == "  a  ▅▅▅▅▅  1"
    assert shown.text([Table([("a", Spark(np.array([-1e308, 1e308, np.inf, -np.inf])))])]) == "  a  ▁█"
    assert shown.text([Table([("a", Bar(0.5)), ("b", Bar(np.nan)), ("c", Bar(7.0))])]).splitlines() == [
        "  a  " + "█" * 12, "  b", "  c  " + "█" * 24]
    rising = shown.text([Table([("a", Spark(np.arange(999.0)))])]).split()[1]
    assert len(rising) == 24
    assert list(rising) == sorted(rising)
    page = Page(shown.html(["x", Table([("a", Spark(np.array([0.0, 1.0])), Spark(np.array([1.0])), Spark(np.array([])))])]))
    assert (page.open, page.seen.count("polyline"), page.seen.count("circle")) == ([], 2, 1)
    assert 'points="2.0,20.0 118.0,2.0"' in shown.html([Table([(Spark(np.array([0.0, 1.0])),)])])


def test_long_reports_are_cut():
    report = ["head", Table([(f"row {i}", "1") for i in range(100)], ("name", "value")), "foot"]
    lines = shown.text(report).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (30, "head", "foot")
    assert lines[-2].strip() == f"… {100 - len(lines) + 4} more"
    assert shown.text(["\n".join(map(str, range(99)))]).splitlines()[-1] == "… 70 lines more"
    assert len(shown.text(["x" * 5000])) == 1000
    # the largest entries, in their order
    told = shown.text(shown.vector("w", np.array([*np.zeros(20), 3.0, np.nan, -5.0])))
    assert told == "w: x22: -5, x20: 3, x0: 0, x1: 0, x2: 0, x3: 0, x4: 0, x5: 0, … 15 more"
    page = shown.html(shown.vector("w", np.array([*np.zeros(20), 3.0, np.nan, -5.0])))
    assert page.count("<tr>") == 10
    assert page.index("x20") < page.index("x22")


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((3, 0)), np.array([np.nan] * 20), np.full((2, 10), np.inf)])
def test_odd_vectors(values):
    assert len(shown.text(shown.vector("w", values)).splitlines()) <= 12
