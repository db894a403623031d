"""Stores of sweeps: what had ended is never lost, never wrong, and not done again."""
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.checks import files
from fastbias.engine import cache
from fastbias.running import store as stores
from fastbias.running.course import Course
from tests.helpers import JIT, ROOT

X, y = np.array([[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5]]), np.array([1.0, 1.0, -1.0])
STEPS = 3000 if JIT else 60
GRID = {"step_size": [0.01, 0.02, 0.03], "momentum": [0, 0.5]}
LONG = {"step_size": [0.001 * i for i in range(1, 9)]}    # of which each takes a good part of a second
FAR = 2_000_000


def factory(step_size, momentum=0.0, loss="exponential", y=y):
    return fb.Plan(X, y, loss=loss, method=fb.methods.gradient_descent(step_size, momentum))


def cosh(step_size):
    return fb.Plan(X, y, loss="probit", method=fb.methods.mirror_descent("cosh", step_size))


def kept(folder):
    """The files of runs, with when they were written."""
    return {path: path.stat().st_mtime_ns for path in pathlib.Path(folder).glob("*/*.npz")}


def assert_same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.t.tolist() == other.t.tolist()
        assert one.u.tobytes() == other.u.tobytes()
        assert one.w.tobytes() == other.w.tobytes()
        assert one.log_loss.tobytes() == other.log_loss.tobytes()
        assert (one.status, one.message) == (other.status, other.message)
    assert list(map(str, a.failures.values())) == list(map(str, b.failures.values()))


@pytest.mark.parametrize("make", [factory, lambda step_size, momentum: cosh(step_size * (1 + 0.3 * momentum))])
def test_a_sweep_called_again_reads_what_is_there_and_does_what_is_missing(tmp_path, make):
    plain = fb.sweep(make, GRID, steps=STEPS)
    first = fb.sweep(make, {"step_size": [0.01], "momentum": [0]}, steps=STEPS, store=tmp_path / "runs")
    one = kept(tmp_path / "runs")
    assert len(one) == 1
    whole = fb.sweep(make, GRID, steps=STEPS, store=tmp_path / "runs")
    assert len(kept(tmp_path / "runs")) == 6
    with ThreadPoolExecutor(1) as pool:
        again = fb.sweep(make, GRID, steps=STEPS, store=tmp_path / "runs", executor=pool)
    assert one.items() <= kept(tmp_path / "runs").items()
    assert len(kept(tmp_path / "runs")) == 6
    assert_same(whole, plain)
    assert_same(again, plain)
    assert first[0].u.tobytes() == plain[0].u.tobytes()
    for mine, other in zip(again.plans, plain.plans, strict=True):     # they go on as if they had run here
        assert mine.run(70).u.tobytes() == other.run(70).u.tobytes()


@fb.piece(fb.abi.LOG_LOSS)
def own_log_loss(params, p, y):
    return np.log(((p - y) ** 2).sum())


def own_loss(code):
    scope = {}
    exec(f"def slope(params, p, y, q):\n    for i in range(p.size):\n        q[i] = {code}\n    return 0.0\n", scope)
    return fb.losses.Loss("mine", fb.piece(fb.abi.SLOPE)(scope["slope"]), own_log_loss, "root")


def test_whatever_a_run_depends_on_is_another_file(tmp_path):
    """Data, pieces, their numbers, code of the user's own, where plans stand, rows, ends: each its own."""
    def count(plan, **options):
        before = len(kept(tmp_path / "s"))
        found = fb.sweep([plan], **({"steps": 40} | options), store=tmp_path / "s")
        twin = fb.sweep([plan], steps=0)                   # it stands where it came to
        assert twin[0].u[-1].tobytes() == found[0].u[-1].tobytes()
        return len(kept(tmp_path / "s")) - before
    later = factory(0.1)
    later.run(3)
    batch = [fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(0.1, batch=1, rng=seed)) for seed in (1, 2)]
    new = [factory(0.1), factory(0.2), factory(0.1, 0.5), factory(0.1, y=-y), factory(0.1, loss="logistic"), later,
           fb.Plan(2 * X, y, loss="exponential", method=fb.methods.gradient_descent(0.1)),
           fb.Plan(X, y, loss="exponential", method=fb.methods.gradient_descent(0.1), start=[1, 0]),
           fb.Plan(X, y, loss="exponential", method=fb.methods.sign_descent(0.1)), *batch]
    assert [count(plan) for plan in new] == [1] * len(new)
    assert [count(factory(0.1), **options) for options in
            ({}, {"steps": 41}, {"record": [3]}, {"record": [4]}, {"until": -1.0}, {"until": -2.0}, {"until": -1.0})] == [
                0, 1, 1, 1, 1, 1, 0]
    for code, fresh in (("y[i] - p[i]", 1), ("2 * (y[i] - p[i])", 1), ("y[i] - p[i]", 0)):
        assert count(fb.Plan(X, y, loss=own_loss(code), method=fb.methods.gradient_descent(0.1))) == fresh


def test_failures_are_kept_and_done_again_when_asked(tmp_path):
    grid = {"step_size": [0.01, 30.0], "loss": ["squared"]}
    first = fb.sweep(factory, grid, steps=500, store=tmp_path / "s")
    before = kept(tmp_path / "s")
    assert len(before) == 2
    again = fb.sweep(factory, grid, steps=500, store=tmp_path / "s")
    assert kept(tmp_path / "s") == before
    assert list(again.failures) == [1]
    assert again.failures[1].trace is again[1]
    assert_same(first, again)
    retried = fb.sweep(factory, grid, steps=500, store=tmp_path / "s", retry_failed=True)
    assert sum(kept(tmp_path / "s")[path] != when for path, when in before.items()) == 1
    assert_same(first, retried)


def test_an_exception_of_a_run_is_kept_by_its_name_and_words(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise kinds.pop()
    kinds = [OSError("disk"), np.linalg.LinAlgError("no")]
    monkeypatch.setattr(Course, "go", fail)
    fb.sweep(cosh, {"step_size": [0.1, 0.2]}, steps=5, store=tmp_path / "s", executor=ThreadPoolExecutor(1))
    monkeypatch.undo()
    again = fb.sweep(cosh, {"step_size": [0.1, 0.2]}, steps=5, store=tmp_path / "s")
    assert [(type(e), str(e)) for e in again.failures.values()] == [
        (RuntimeError, "LinAlgError: no"), (OSError, "disk")]
    assert not fb.sweep(cosh, {"step_size": [0.1, 0.2]}, steps=5, store=tmp_path / "s", retry_failed=True).failures


def test_any_byte_that_changed_is_noticed_and_the_run_done_again(tmp_path):
    wanted = fb.sweep(factory, {"step_size": [0.1]}, steps=50, store=tmp_path / "s")
    path, = kept(tmp_path / "s")
    raw = path.read_bytes()
    for at in range(0, len(raw), 331):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])
        with pytest.warns(RuntimeWarning, match="a file of the store is damaged, and its run is done again"):
            assert_same(fb.sweep(factory, {"step_size": [0.1]}, steps=50, store=tmp_path / "s"), wanted)
        assert path.read_bytes() == raw
    path.write_bytes(raw[:-5])
    with pytest.warns(RuntimeWarning, match="damaged"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=50, store=tmp_path / "s")


def test_a_file_under_the_name_of_another_run_is_not_believed(tmp_path):
    wanted = fb.sweep(factory, {"step_size": [0.1, 0.2]}, steps=50, store=tmp_path / "s")
    one, other = kept(tmp_path / "s")
    shutil.copy(one, other)
    with pytest.warns(RuntimeWarning, match="it is the file of"):
        assert_same(fb.sweep(factory, {"step_size": [0.1, 0.2]}, steps=50, store=tmp_path / "s"), wanted)


def test_a_forged_file_that_no_run_can_have_come_to_is_not_believed(tmp_path):
    wanted = fb.sweep(cosh, {"step_size": [0.1]}, steps=50, store=tmp_path / "s")
    path, = kept(tmp_path / "s")
    arrays = files.read(path, "a store", sealed=True)
    for name, value in (("u", np.array([np.nan, 0])), ("trace_u", np.zeros((2, 3))), ("trace_t", np.array([3, 2])),
                        ("control", np.zeros(3, np.int64))):
        path.write_bytes(files.seal(arrays | {name: value}))
        with pytest.warns(RuntimeWarning, match="damaged"):
            assert_same(fb.sweep(cosh, {"step_size": [0.1]}, steps=50, store=tmp_path / "s"), wanted)


def test_stores_of_another_format_and_other_folders_are_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="store must be an empty folder or one that a sweep wrote"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path)
    with pytest.raises(ValueError, match="store must be a folder, got the file"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "note.txt")
    with pytest.raises(TypeError, match="store must be"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=3)
    with pytest.raises(TypeError, match="retry_failed must be"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "s", retry_failed=1)
    fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "s")
    about = tmp_path / "s" / stores.ABOUT
    for text in (json.dumps({"format": 99, "sources": cache.PACKAGE}), "{", "[]"):
        about.write_text(text)
        with pytest.raises(ValueError, match="store must be of format 1, got"):
            fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "s")


def test_runs_of_another_version_are_done_again_and_said_to_be(tmp_path, monkeypatch):
    fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "s")
    monkeypatch.setattr(cache, "PACKAGE", "other")
    with pytest.warns(RuntimeWarning, match="written by another version of fastbias"):
        fb.sweep(factory, {"step_size": [0.1]}, steps=5, store=tmp_path / "s")
    assert len(kept(tmp_path / "s")) == 2


def wait_for(folder, count):
    while len(kept(folder)) < count:
        time.sleep(0.01)


def test_ctrl_c_keeps_what_had_ended(tmp_path):
    """Within a second; and what was under way is begun anew, not taken for done."""
    grid = {"step_size": [0.1, 0.2, 0.3]}

    def interrupt():
        wait_for(tmp_path / "s", 2)
        when.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    def make(step_size):
        plan = cosh(step_size)
        if step_size == 0.3:
            plan.run(1)                                    # so that it has steps of its own
        return plan
    when = []
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        fb.sweep([*map(make, grid["step_size"][:2]), fb.Plan(np.ones((5, 3)), np.ones(5), loss="probit",
                  method=fb.methods.adam(1e-3))], steps=40 if not JIT else 400, store=tmp_path / "s",
                 executor=Slow(2))
    assert time.monotonic() - when[0] < 3                  # of a machine that is busy
    assert len(kept(tmp_path / "s")) == 2


def test_ctrl_c_while_an_outcome_is_taken_in_does_not_lose_it(tmp_path, monkeypatch):
    true, interrupted = stores.Store.keep, []

    def keep(self, *args):
        if len(interrupted) == 0:
            interrupted.append(args)
            raise KeyboardInterrupt
        true(self, *args)
    monkeypatch.setattr(stores.Store, "keep", keep)
    with pytest.raises(KeyboardInterrupt):
        fb.sweep(factory, GRID, steps=STEPS, store=tmp_path / "s", executor=ThreadPoolExecutor(1))
    assert len(interrupted) == 1
    assert f"{interrupted[0][0][2:]}.npz" in {path.name for path in kept(tmp_path / "s")}


class Slow(ThreadPoolExecutor):
    """The third task waits until it is told to stop."""

    def submit(self, function, task, halt):
        def wait_long(task, halt):
            while not halt:
                time.sleep(0.01)
            return function(task, halt)
        return super().submit(wait_long if task.members == [2] else function, task, halt)


CHILD = """
import sys
from tests.running.test_sweep_store import *
fb.sweep(cosh, LONG, steps=FAR, store=sys.argv[1], executor=ThreadPoolExecutor(1))
"""


@pytest.mark.skipif(not JIT, reason="runs of a second need compiled loops")
@pytest.mark.slow
def test_a_main_process_that_is_killed_loses_nothing_that_had_ended(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "s")], cwd=ROOT)
    wait_for(tmp_path / "s", 2)
    child.kill()
    child.wait()
    before = kept(tmp_path / "s")
    assert 2 <= len(before) < 8
    few = {"step_size": LONG["step_size"][:len(before) + 1]}
    again = fb.sweep(cosh, few, steps=FAR, store=tmp_path / "s")
    assert before.items() <= kept(tmp_path / "s").items()
    assert len(kept(tmp_path / "s")) == len(before) + 1
    assert again[1].u.tobytes() == cosh(LONG["step_size"][1]).run(FAR).u.tobytes()


@pytest.mark.skipif(not JIT, reason="runs of a second need compiled loops")
def test_a_worker_that_is_killed_loses_nothing_that_had_ended(tmp_path):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        def kill():
            wait_for(tmp_path / "s", 2)
            os.kill(next(iter(pool._processes)), signal.SIGKILL)
        threading.Thread(target=kill).start()
        broken = fb.sweep(cosh, LONG, steps=FAR, store=tmp_path / "s", executor=pool)
    before = kept(tmp_path / "s")
    assert len(before) == 8 - len(broken.failures)
    assert 2 <= len(before) < 8
    few = {"step_size": LONG["step_size"][:len(before) + 1]}
    again = fb.sweep(cosh, few, steps=FAR, store=tmp_path / "s")
    assert before.items() <= kept(tmp_path / "s").items()
    assert not again.failures
    with warnings.catch_warnings():
        for i, trace in enumerate(broken):
            if trace is not None:
                assert again[i].u.tobytes() == trace.u.tobytes()
