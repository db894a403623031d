"""The live pages in a browser: a point that is dragged gives the numbers of `fb`, and no console complains."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT
from tests.helpers.browser import found
from tests.live.browser import READY, Page

ROOT = Path(__file__).resolve().parents[2]
LIVE, BUILD = ROOT / "docs" / "live", ROOT / "docs" / "live" / "build"
NORMS = [fb.norms.l2, fb.norms.l1, fb.norms.linf, fb.norms.lp(4 / 3), fb.norms.lp(3), fb.norms.quadratic(np.diag([1.0, 9.0])),
         fb.norms.quadratic(np.array([[2.0, 1.5], [1.5, 2.0]]))]
RULES = {"scaled": fb.steps.loss_scaled(.02), "constant": .02, "power": fb.steps.power(.1, .5)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="no Chromium"),
    pytest.mark.skipif(not JIT, reason="Numba is off"),
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang: pip install 'fastbias[web]'")]


@pytest.fixture(scope="module")
def pages():
    subprocess.run([sys.executable, str(LIVE / "make.py")], check=True)
    return {path.stem: path.as_uri() for path in BUILD.glob("*.html")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Page(tmp_path_factory.mktemp("chromium")) as there:
        yield there


@pytest.fixture
def page(browser):
    browser.dress(1280)
    return browser


def ends(state):
    """Where the package takes the seven runs that a page has done."""
    for norm in NORMS:
        method = fb.methods.steepest_descent(norm, RULES[state["rule"]])
        yield fb.run(state["X"], state["y"], loss=state["loss"], method=method, steps=state["steps"], gram=False).w[-1]


def test_a_dragged_point_gives_the_numbers_of_the_package(pages, page):
    page.open(pages["geometries"])
    before = page.ask("live.state()")
    page.ask("window.before = JSON.stringify(live.state().ends)")
    page.drag("circle.plus", 20, 30)
    page.wait("JSON.stringify(live.state().ends) !== window.before")
    for loss, rule in (("exponential", "scaled"), ("logistic", "constant"), ("exponential", "power")):
        page.choose(loss=loss)
        page.choose(rule=rule)
        state = page.ask("live.state()")
        assert (state["loss"], state["rule"]) == (loss, rule)
        assert state["X"] != before["X"]
        for got, wanted in zip(state["ends"], ends(state), strict=True):
            assert got == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert page.said() == []


def test_keys_move_a_point_and_reset_brings_it_back(pages, page):
    page.open(pages["geometries"])
    before = page.ask("live.state().X")
    page.ask("document.querySelector('circle.minus').focus()")
    page.key("ArrowRight")
    page.wait(f"live.state().X[5][0] > {before[5][0]} + 0.04")
    page.ask("document.getElementById('reset').click()")
    assert page.ask("live.state().X") == before
    assert page.said() == []


def test_a_finger_moves_a_point_and_not_the_page(pages, page):
    page.dress(390)                                # where the page is longer than the window
    page.open(pages["geometries"])
    page.ask("document.addEventListener('pointercancel', () => { live.cancelled = true; })")    # as where it scrolls
    before, ended = page.ask("live.state().X[0]"), page.ask("live.state().ends")
    page.swipe("circle.plus", 10, 30)
    page.frame()
    page.wait("!live.state().waiting")
    after = page.ask("live.state().X[0]")
    assert after[0] > before[0] + .1
    assert after[1] < before[1] - .1
    assert page.ask("live.state().ends") != ended
    assert page.ask("live.cancelled ?? false") is False
    assert page.said() == []


def test_ten_million_updates_go_in_a_worker(pages, page):
    page.open(pages["geometries"])
    page.choose(rule="constant")                  # of this rule updates go in bursts, three times as fast
    page.choose(steps="10000000")
    assert page.ask("live.state().waiting") is True
    page.wait("document.getElementById('bar').value > 0")
    page.wait("!live.state().waiting", patience=1200)
    state = page.ask("live.state()")
    assert state["steps"] == 10_000_000
    wanted = next(ends(state))
    assert state["ends"][0] == pytest.approx(wanted, rel=1e-9)
    assert page.said() == []


def same(got, wanted):
    assert np.asarray(got) == pytest.approx(np.asarray(wanted), rel=1e-9, abs=1e-9)


def test_sliders_of_figure_1_give_the_numbers_of_the_package(pages, page):
    page.open(pages["figure1"])
    page.choose(a_eta=.04, a_beta=.35, a_gamma=.2, a_x1=1.3, b_eta=.09, b_y=.8, c_eta=.1, c_y2=8)
    page.wait("live.state().panels[0].X[0][0] === 1.3 && live.state().panels[2].y[1] === 8")
    a, b, c = page.ask("live.state().panels")
    mirror, natural, steepest = fb.methods.mirror_descent, fb.methods.natural_gradient, fb.methods.steepest_descent
    wanted = [(a, [mirror("entropy", .04), mirror("entropy", .04, primal_momentum=.35, nesterov=.2),
                   mirror("entropy", .04, dual_momentum=.35)]),
              (b, [natural("entropy", eta) for eta in (.001, .045, .09)]),
              (c, [steepest(fb.norms.lp(4 / 3), eta) for eta in (.001, .05, .1)])]
    for panel, methods in wanted:
        for got, method in zip(panel["ends"], methods, strict=True):
            same(got, fb.run(panel["X"], panel["y"], loss="squared", method=method, steps=10_000, gram=False).w[-1])
    same(a["star"], fb.bregman_projection(a["X"], a["y"], "entropy", np.ones(2)).w)
    same(c["star"], fb.minimum_norm(c["X"], c["y"], fb.norms.lp(4 / 3)).w)
    assert page.said() == []


def test_boosting_gives_the_numbers_of_the_package(pages, page):
    page.open(pages["boosting"])
    state = page.ask("live.state()")
    assert state["cycle"] is not None
    page.choose(nu=.25)
    page.ask("document.querySelector('#votes rect').focus()")
    page.key("Enter")
    page.wait("live.state().M[0][0] === 1 && live.state().nu === 0.25")
    state = page.ask("live.state()")
    descent = fb.methods.coordinate_descent
    for got, method in zip(state["ends"], [descent(fb.steps.line_search()), descent(fb.steps.line_search(), shrinkage=.25),
                                           descent(fb.steps.loss_scaled(.1))], strict=True):
        same(got, fb.run(state["M"], np.ones(8), loss="exponential", method=method, steps=state["steps"], gram=False).w[-1])
    limit = fb.max_margin(state["M"], np.ones(8), "l1")
    assert limit.certified
    same(state["best"]["margin"], limit.margin)
    assert page.said() == []


def test_the_scale_of_a_start_gives_the_numbers_of_the_package(pages, page):
    model = fb.models.diagonal(2, signed=True)
    page.open(pages["kernel"])
    X, y = np.array(page.ask("PLANS.X")), np.array(page.ask("PLANS.y"))
    for exponent in (-3, -.5, 1):
        page.choose(alpha=exponent)
        page.wait(f"Math.abs(Math.log10(live.state().alpha) - ({exponent})) < 1e-6")
        state = page.ask("live.state()")
        trace = fb.run(X, y, loss="squared", method=fb.methods.gradient_descent(state["eta"]), model=model,
                       start=model.start(state["alpha"]), steps=100_000)
        same(state["w"], trace.w[-1])
        limit = fb.bregman_projection(X, y, fb.potentials.hypentropy(2 * state["alpha"] ** 2), np.zeros(24))
        assert limit.certified
        assert state["flow"] == pytest.approx(limit.w, abs=1e-7)
    for norm, name in (("l1", "sparse"), ("l2", "least")):
        same(state[name], fb.minimum_norm(X, y, norm).w)
    assert page.said() == []


def test_each_potential_gives_the_numbers_of_the_package(pages, page):
    psi = fb.potentials
    page.open(pages["potentials"])
    page.choose(y1=1.7, y2=-.4, beta=-1, p=2.5)
    page.wait("live.state().y[0] === 1.7 && live.state().p === 2.5")
    state = page.ask("live.state()")
    used = [psi.euclidean, psi.entropy, psi.hypentropy(.1), psi.cosh, psi.power(1.5), psi.power(2.5)]
    for potential, eta, got, said in zip(used, state["rules"], state["ends"], state["limits"], strict=True):
        plan = fb.Plan(state["X"], state["y"], loss="squared", method=fb.methods.mirror_descent(potential, eta), gram=False)
        same(got, plan.run(10_000).w[-1])
        limit = plan.limit()
        assert limit.certified
        assert said == pytest.approx(limit.w, abs=1e-8)
    assert page.said() == []


@pytest.mark.parametrize("width", [1280, 400])
def test_every_page_opens_and_fits(pages, width, page):
    page.dress(width)
    for name, url in pages.items():
        page.open(url, ready="true" if name == "index" else READY)
        assert page.ask("document.documentElement.scrollWidth") <= width, name
        assert page.ask("document.querySelector('#status.failed')") is None, name
        assert page.said() == [], name


def test_an_error_of_a_page_is_seen(page, tmp_path):
    (tmp_path / "bad.html").write_text("<!doctype html><script>window.live = {state: () => ({})}; nowhere()</script>")
    page.open((tmp_path / "bad.html").as_uri())
    assert any("nowhere" in error for error in page.said())
