"""One run by several threads: the same bits, whoever is late, in a hurry, forked or interrupted."""
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.engine import abi, driver, helpers, team
from fastbias.engine.call import NOBODY, by_team
from tests.helpers import JIT, ROOT
from tests.helpers.marks import slow
from tests.helpers.threads import RNG, THIN, WIDE, D, N, X, Y, needs_threads, plan

m = fb.methods
MANY = (1, 2, 3, 8)


def slabs(plan):
    return abi.slabs(*plan.problem.X.shape, plan.buffers.control)


def test_the_size_of_X_alone_says_how_many_slabs():
    control = plan().buffers.control.copy()
    assert [abi.slabs(N, d, control) for N, d in ((4, 3), (20, 50), (1000, 100), (1000, 1000), (100000, 200), (40, 10**6))] \
        == [1, 1, 8, 16, 32, 1]
    assert slabs(plan()) == slabs(plan(8)) == slabs(plan(loss="probit")) == 16
    assert slabs(plan(X=X, y=Y)) == 2
    assert slabs(plan(method=m.gradient_descent(1e-4, batch=7, rng=0))) == 1
    for entry in (abi.BURST, abi.SHIFT, abi.DONE, abi.WEIGH, abi.SEARCH):      # what moves, or goes with a method
        control[entry] = 3
        assert abi.slabs(1100, 122, control) == 16


LOSSES = ("exponential", "logistic", "squared", "probit", fb.losses.huber(0.7))


def fall(loss, X, y, w, c):
    """−∇L and L by their definition."""
    with np.errstate(over="ignore"):
        p = X @ w
        if loss == "exponential":
            q, each = y * np.exp(-y * p), np.exp(-y * p)
        elif loss == "logistic":
            q, each = y / (1 + np.exp(y * p)), np.log1p(np.exp(-y * p))
        elif loss == "squared":
            q, each = 2 * (y - p), (y - p) ** 2
        elif loss == "probit":
            from scipy.special import log_ndtr
            each = -log_ndtr(y * p)
            q = y * np.exp(-0.5 * p * p - log_ndtr(y * p)) / np.sqrt(2 * np.pi)
        else:
            q = 2 * np.clip(y - p, -0.7, 0.7)
            each = np.where(abs(y - p) < 0.7, (y - p) ** 2, 1.4 * abs(y - p) - 0.49)
    return X.T @ (c * q), float(c @ each)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_pass_in_slabs_is_the_gradient(loss, weights):
    c = RNG.uniform(0.5, 2.0, N) if weights else np.ones(N)
    for data in (X, sp.csr_matrix(THIN)):
        one = plan(X=data, y=Y, loss=loss, method=m.gradient_descent(1e-4), weights=c if weights else None, gram=False)
        assert slabs(one) == 2
        w, dense = np.zeros(D), data.toarray() if sp.issparse(data) else data
        for _ in range(5):
            w += 1e-4 * fall(loss, dense, Y, w, c)[0]
        trace = one.run(5)
        assert trace.w[-1] == pytest.approx(w, rel=1e-12, abs=1e-15)
        assert np.exp(trace.log_loss[-1]) == pytest.approx(fall(loss, dense, Y, w, c)[1], rel=1e-12)


def test_classes_in_slabs_are_the_gradient():
    y = RNG.integers(0, 3, N)
    for data in (X, sp.csr_matrix(THIN)):
        dense = data.toarray() if sp.issparse(data) else data
        one = fb.Plan(data, y, loss="cross_entropy", method=m.gradient_descent(1e-4))
        assert slabs(one) >= 2
        W = np.zeros((3, D))
        for _ in range(5):
            P = np.exp(W @ dense.T)
            W += 1e-4 * ((y == np.arange(3)[:, None]) - P / P.sum(0)) @ dense
        assert one.run(5).w[-1] == pytest.approx(W, rel=1e-11, abs=1e-15)


def same_bits(make, cuts):
    """A run by each number of threads, in chunks that are cut in different places."""
    found = set()
    for threads in MANY:
        for cut in cuts:
            one = make(threads)
            for steps in cut:
                trace = one.run(steps, record=10, strict=False)
            found.add((trace.u[-1].tobytes(), trace.log_loss[-1].tobytes(), trace.status, one.u.tobytes(),
                       one.buffers.state.tobytes(), one.t, one.buffers.control[abi.SHIFT]))
    assert len(found) == 1


@pytest.mark.long
@pytest.mark.parametrize("method", m.EXAMPLES, ids=repr)
def test_no_bit_of_any_method_depends_on_the_number_of_threads(method, eager):
    for loss in ("squared", "exponential", "probit"):
        try:
            plan(1, 0.01 * X, Y, loss, method)
        except (ValueError, TypeError):                                  # a method for matrices, a rule for other losses
            continue
        same_bits(lambda threads, loss=loss: plan(threads, 0.01 * X, Y, loss, method), ((12,),))


CASES = {
    "exponential": {"loss": "exponential"}, "logistic": {}, "squared": {"loss": "squared"}, "probit": {"loss": "probit"},
    "weights": {"weights": np.linspace(0, 2, 1100)}, "weights by piece": {"weights": np.linspace(0, 2, 1100), "loss": "probit"},
    "wild weights": {"weights": np.geomspace(1e-200, 1e200, 1100), "loss": "logistic"},
    "search": {"method": m.gradient_descent(fb.steps.line_search()), "loss": "exponential"},
    "loss scaled": {"method": m.gradient_descent(fb.steps.loss_scaled(0.1)), "loss": "exponential"},
    "far": {"loss": "exponential", "method": m.gradient_descent(fb.steps.loss_scaled(5.0)), "y": np.sign(WIDE[:, 0])},
    "adam": {"method": m.adam(0.01)}, "steepest": {"method": m.steepest_descent(fb.norms.lp(1.5), 1e-3), "loss": "probit"},
    "mirror": {"method": m.mirror_descent("entropy", 1e-4), "loss": "squared"},
    "classes": {"y": RNG.integers(0, 3, 1100), "loss": "cross_entropy"},
    "classes, weights": {"y": RNG.integers(0, 3, 1100), "loss": "cross_entropy", "weights": np.linspace(0, 2, 1100)},
    "sparse": {"X": sp.csr_matrix(np.where(abs(WIDE) > 0.3, WIDE, 0.0))},
    "sparse classes": {"X": sp.csr_matrix(np.where(abs(WIDE) > 0.3, WIDE, 0.0)), "y": RNG.integers(0, 3, 1100),
                       "loss": "cross_entropy"},
    "diagonal": {"model": fb.models.diagonal(2), "start": np.full(244, 0.1), "method": m.gradient_descent(1e-5)},
    "coordinate": {"method": m.coordinate_descent(1e-4), "loss": "exponential"},
    "ended": {"loss": "squared", "method": m.gradient_descent(1.0)},
    "gram": {"X": RNG.normal(size=(300, 700)), "y": Y[:300], "gram": True},
    "gram by piece": {"X": RNG.normal(size=(300, 700)), "y": Y[:300], "gram": True, "loss": "probit"},
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_no_bit_depends_on_threads_or_on_where_a_run_was_cut(name, eager):
    case = CASES[name]
    if "gram" not in name:
        assert slabs(plan(**case)) > 1
    cuts = (60,), (1,) * 20 + (7, 33)
    if name == "ended":
        cuts = ((600,), (1, 599))
        assert plan(**case).run(600, strict=False).status == fb.Status.NOT_FINITE
    same_bits(lambda threads: plan(threads, **case), cuts)


@needs_threads
def test_helpers_do_help(eager, monkeypatch):
    teams, true = [], driver.Team
    monkeypatch.setattr(driver, "Team", lambda members, *rest: teams.append(members) or true(members, *rest))
    plan(3).run(50)
    assert teams
    assert set(teams) == {3}
    del teams[:]
    plan(100).run(50)
    assert set(teams) == {16}                                            # more than slabs would be of no use
    del teams[:]
    for alone in (plan(1), plan(8, method=m.coordinate_descent(1e-4)), plan(8, X=X[:40], y=Y[:40]),
                  plan(8, method=m.gradient_descent(1e-4, batch=7, rng=0))):
        alone.run(50)
    assert not teams


@needs_threads
def test_a_loss_of_ones_own_has_one_thread_and_the_same_slabs(eager, monkeypatch):
    @fb.piece(fb.abi.SLOPE)
    def slope(params, p, y, q):
        for n in range(p.size):
            q[n] = y[n] / (1.0 + p[n] * p[n])
        return 0.0

    @fb.piece(fb.abi.LOG_LOSS)
    def log_loss(params, p, y):
        total = 0.0
        for n in range(p.size):
            total += np.exp(-y[n] * np.arctan(p[n]))
        return np.log(total)

    own = fb.losses.Loss(name="own", slope=slope, log_loss=log_loss, kind="monotone")
    monkeypatch.setattr(driver, "Team", None)
    one, two = plan(1, loss=own), plan(8, loss=own)
    assert one.run(50).w.tobytes() == two.run(50).w.tobytes()


@needs_threads
@pytest.mark.parametrize("loss", ["logistic", "probit"])
def test_who_never_comes_is_not_waited_for(loss):
    """A board for eight with nobody there; helpers that come in the middle; ones that go at once; and ones that draw tickets
    and do nothing.
    """
    def lazy(board):
        while not board[helpers.STOP]:
            board[team.BOARD + team.LINE] = 2                            # as many of its own as there are: they are gone
            time.sleep(1e-5)

    def chunks(board, plan, late=0, others=()):
        records = abi.Records(np.empty(0, np.int64), np.empty((0, plan.u.size)), np.empty(0))
        p = plan.problem
        others = [threading.Timer(0.002 * i, helpers.assist, (board, i, *(np.zeros(1200) for _ in range(3))))
                  for i in range(1, late + 1)] + list(others)
        for other in others:
            other.start()
        for stop in range(1, 300):
            assert by_team(board, plan.pieces, plan.params, p.X, p.y, plan.buffers, records, stop, -np.inf) == 0
        if board.size:
            board[helpers.STOP] = 1
        for other in others:
            other.join()
        return plan.u.tobytes()

    assert helpers.ready()
    parts = np.zeros(team.parts_room(*WIDE.shape, plan(loss=loss).buffers.control))
    wanted = chunks(NOBODY, plan(loss=loss))
    assert chunks(helpers._board(8, parts), plan(loss=loss)) == wanted
    assert chunks(helpers._board(8, parts), plan(loss=loss), late=3) == wanted
    board = helpers._board(8, parts)
    assert chunks(board, plan(loss=loss), others=[threading.Thread(target=lazy, args=(board,))]) == wanted
    gone = helpers._board(3, parts)
    gone[helpers.STOP] = 1
    assert chunks(gone, plan(loss=loss), late=2) == wanted


def hammered(chunks, hogs, threads=8):
    """Chunks of a few updates each by too many threads, beside processes that do nothing but that."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        one, two = plan(threads), plan(1)
        for i in range(chunks):
            one.run(1 + i % 3, record=2)
            two.run(1 + i % 3, record=2)
            if i % 50 == 0:
                assert one.u.tobytes() == two.u.tobytes()
        assert one.u.tobytes() == two.u.tobytes()
    finally:
        for process in busy:
            process.kill()
            process.wait()


@needs_threads
def test_many_short_chunks_on_a_busy_machine_end(eager):
    hammered(150, 2)


@needs_threads
@pytest.mark.slow
def test_thousands_of_short_chunks_on_a_busy_machine_end(eager):
    hammered(5000, 2)


@needs_threads
def test_several_plans_at_once(eager):
    wanted = plan().run(200, record=2).w[-1].tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda threads: plan(threads).run(200, record=2).w[-1].tobytes(), [3, 2, "auto", 8] * 2))
    assert set(found) == {wanted}


@pytest.mark.long
def test_a_checkpoint_says_nothing_of_threads(eager, tmp_path):
    for first, then in ((3, 1), (1, 3)):
        one = plan(first)
        one.run(20)
        one.save(tmp_path / "p.npz")
        again = fb.Plan.load(tmp_path / "p.npz")
        assert again.course.threads == "auto"
        again.course.threads = then
        copied = pickle.loads(pickle.dumps(one))
        assert copied.course.threads == first
        wanted = plan(1).run(50, record=2).w[-1].tobytes()
        assert one.run(30).w[-1].tobytes() == again.run(30).w[-1].tobytes() == copied.run(30).w[-1].tobytes() == wanted
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert not any("thread" in name for name in file.files)


def forks(times):
    one, wanted = plan(3), plan(1)
    for _ in range(times):
        one.run(3, record=2)
        wanted.run(3, record=2)
        child = os.fork()
        if child == 0:                                                   # no exit handlers, whatever comes
            status = 1
            try:
                one.run(9, record=2)
                wanted.run(9, record=2)
                status = int(one.u.tobytes() != wanted.u.tobytes())
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert one.u.tobytes() == wanted.u.tobytes()


forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")


@needs_threads
@forking
def test_forks_between_runs(eager):
    forks(10)


@needs_threads
@forking
@pytest.mark.parametrize("times", [*slow(100), pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_hundreds_of_forks(eager, times):
    forks(times)


def _said():
    return helpers.spare()


def test_how_many_threads_are_to_spare(monkeypatch):
    monkeypatch.delenv(helpers.VARIABLE, raising=False)
    monkeypatch.setattr(helpers, "_cpus", lambda: 6)
    monkeypatch.setitem(vars(helpers.numba.config), "NUMBA_NUM_THREADS", 8)
    assert helpers.spare() == 6
    monkeypatch.setitem(vars(helpers.numba.config), "NUMBA_NUM_THREADS", 5)
    assert helpers.spare() == 5
    monkeypatch.setenv(helpers.VARIABLE, "4")
    assert helpers.spare() == 4
    for wrong in ("two", "0", "-1", "1.5"):
        monkeypatch.setenv(helpers.VARIABLE, wrong)
        with pytest.raises(ValueError, match=f"{helpers.VARIABLE} must be a whole number >= 1, got '{wrong}'"):
            helpers.spare()
    monkeypatch.delenv(helpers.VARIABLE)
    with helpers.alone():
        with helpers.alone():
            assert helpers.spare() == 1
        assert helpers.spare() == 1
    assert helpers.spare() == 5
    inside, over = threading.Event(), threading.Event()

    def other():
        with helpers.at_work(4):
            inside.set()
            over.wait()
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    assert helpers.spare() == 2
    with helpers.at_work(3):                                             # one's own do not count
        assert helpers.spare() == 2
    over.set()
    thread.join()
    assert helpers.spare() == 5


def test_a_sweep_has_one_thread_a_run(eager, monkeypatch):
    seen, true = [], driver.Driver._members

    def members(self, updates):
        seen.append(true(self, updates))
        return seen[-1]
    monkeypatch.setattr(driver.Driver, "_members", members)
    monkeypatch.setattr(helpers, "_cpus", lambda: 6)
    fb.sweep([plan("auto"), plan("auto", loss="squared")], steps=5)
    assert set(seen) == {1}
    if JIT:
        plan("auto").run(5)
        assert max(seen) > 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="of a process that is forked")
def test_workers_of_a_pool_have_one_thread():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_said) == 1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "all", "", None, True, [2], np.nan, "8"])
def test_threads_that_are_none_are_told_of_in_a_sentence(wrong):
    for call in (lambda: plan(wrong), lambda: fb.run(X, Y, loss="squared", method=m.gradient_descent(1e-4), steps=1,
                                                     threads=wrong)):
        with pytest.raises((ValueError, TypeError), match='threads must be "auto" or a whole number >= 1, got '):
            call()
    assert plan(np.int64(2)).course.threads == 2
    assert plan(2.0).course.threads == 2


@needs_threads
@pytest.mark.slow
def test_a_fresh_process_has_the_same_bits_with_any_setting():
    code = ("import numpy as np, fastbias as fb, sys; r = np.random.default_rng(0); X = r.normal(size=(2000, 120));"
            "p = fb.Plan(X, X[:, 0] > 0, loss='logistic', method=fb.methods.gradient_descent(1e-4)); p.run(3000);"
            "sys.stdout.write(p.u.tobytes().hex())")
    told = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
                           env=os.environ | env).stdout for env in ({}, {helpers.VARIABLE: "1"}, {"NUMBA_NUM_THREADS": "1"})}
    assert len(told) == 1
