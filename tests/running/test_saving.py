"""Runs are saved while they go on, whoever asks, and whoever ends them; what a checkpoint says is held to its problem."""
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import abi
from fastbias.running import checkpoint, interruptions

m = fb.methods
X, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([1.0, -1, 1, 1, -1, 1])


def plan(data=X, **options):
    return fb.Plan(data, y, loss="logistic", method=m.gradient_descent(fb.steps.power(0.1, 0.3)), **options)


# ---- checkpoints whose digest fits

def test_what_is_layout_comes_from_the_problem(tmp_path):
    path = tmp_path / "c.npz"
    for gram, at in ((False, "control"), (True, "gram_control")):
        p = fb.Plan(np.random.default_rng(0).normal(size=(8, 16)), np.ones(8), loss="logistic", gram=gram,
                    method=m.gradient_descent(0.01))
        p.run(5)
        p.save(path)
        arrays, about = checkpoint.read(path)
        control = arrays[at].copy()
        control[abi.HURRY] = control[abi.PACKED] = 1       # of a moment that has passed
        checkpoint.write(path, arrays | {at: control}, about)
        assert fb.Plan.load(path).run(5).u.tobytes() == p.run(5).u.tobytes()
        control[abi.OUTPUTS] = 2 ** 61
        checkpoint.write(path, arrays | {at: control}, about)
        with pytest.raises(ValueError, match=rf"path must be a checkpoint .* {at}\[{abi.OUTPUTS}\] must be as the problem"):
            fb.Plan.load(path)


def test_checkpoints_of_the_version_before_are_read(tmp_path):
    """Those of 2026-11-28 had just these entries, and no names of labels."""
    p = fb.Plan(np.random.default_rng(0).normal(size=(8, 16)), y[[0, 1, 2, 3, 4, 5, 0, 1]], loss="logistic", gram=True,
                method=m.gradient_descent(0.01))
    p.run(5)
    arrays, about = checkpoint.kept(p)
    assert set(arrays) == {"X", "y", "start", "u", "state", "mark", "control", "kept", "gram_u", "gram_state", "gram_mark",
                           "gram_control", "gram_rest", "trace_t", "trace_u", "trace_log_loss"}
    about.pop("classes")
    assert about.pop("intercept") is False
    assert set(about) == {"loss", "method", "model", "status", "shape", "settings", "gram", "message", "ended"}
    checkpoint.write(tmp_path / "c.npz", arrays, about)
    assert checkpoint.read(tmp_path / "c.npz")[1]["format"] == 3
    assert fb.Plan.load(tmp_path / "c.npz").run(5).u.tobytes() == p.run(5).u.tobytes()


def test_a_plan_whose_buffers_somebody_has_written_to_is_saved_as_it_stands(tmp_path):
    p = fb.Plan(np.random.default_rng(0).normal(size=(8, 16)), np.ones(8), loss="logistic", gram=True,
                method=m.gradient_descent(0.01))
    p.run(5)
    p.buffers.u[:] = 0.25
    p.save(tmp_path / "c.npz")
    back = fb.Plan.load(tmp_path / "c.npz")
    assert (back.u == 0.25).all()
    assert back.run(5).u.tobytes() == p.run(5).u.tobytes()


# ---- while a run goes on

@pytest.mark.long
@pytest.mark.parametrize("gram", [False, True])
def test_saves_from_another_thread_are_states_that_were(gram, tmp_path):
    data = np.random.default_rng(0).normal(size=(6, 40))
    p, w = plan(data=data, gram=gram), plan(data=data, gram=gram)
    thread = threading.Thread(target=lambda: p.run(1_000_000, record=2))
    thread.start()
    n = 0
    while thread.is_alive() and n < 25:
        p.save(tmp_path / f"{n}.npz")
        n += 1
    thread.join()
    for i in range(n):
        q = fb.Plan.load(tmp_path / f"{i}.npz")
        w.run(q.t - w.t, record=2)
        assert w.u.tobytes() == q.u.tobytes()
        assert w.buffers.state.tobytes() == q.buffers.state.tobytes()
    assert n > 3


def test_a_callback_and_a_handler_may_save(tmp_path):
    path, p, seen = tmp_path / "p.npz", plan(), []

    def handler(*event):
        p.save(path)
        seen.append(fb.Plan.load(path).t)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        def look(q):
            q.save(path)
            assert fb.Plan.load(path).t == q.t
            os.kill(os.getpid(), signal.SIGUSR1)
            if len(seen) > 2:
                raise StopIteration
        p.run(10 ** 9, record=2, callback=look)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 3


def test_sigterm_ends_a_run_with_a_checkpoint_as_ctrl_c_does(tmp_path):
    path = tmp_path / "p.npz"

    def look(p):
        os.kill(os.getpid(), signal.SIGTERM)
    for kind in (KeyboardInterrupt, SystemExit):
        p = plan()
        with pytest.raises(kind) as raised:
            p.run(10 ** 9, callback=look, checkpoint=path)
        assert raised.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert fb.Plan.load(path).t == p.t > 0
        assert f"interrupted by Terminated at step {p.t}" in fb.Plan.load(path).trace.message


def test_sigterm_while_the_last_save_is_written_waits_for_it(tmp_path, monkeypatch):
    path, fsync = tmp_path / "p.npz", os.fsync

    def late(file):
        os.kill(os.getpid(), signal.SIGTERM)
        fsync(file)
    monkeypatch.setattr(os, "fsync", late)
    p = plan()
    with pytest.raises(interruptions.Terminated):
        p.run(100, checkpoint=path)
    assert p.t == p.trace.t[-1] == fb.Plan.load(path).t == 100
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_is_left_to_whoever_handles_it(tmp_path):
    came = []
    before = signal.signal(signal.SIGTERM, lambda *event: came.append(event))
    try:
        plan().run(100, checkpoint=tmp_path / "p.npz", callback=lambda p: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came
    kept = []
    thread = threading.Thread(target=lambda: plan().run(100, checkpoint=tmp_path / "p.npz",
                              callback=lambda p: kept.append(signal.getsignal(signal.SIGTERM))))
    thread.start()
    thread.join()
    plan().run(100, callback=lambda p: kept.append(signal.getsignal(signal.SIGTERM)))
    assert set(kept) == {signal.SIG_DFL}


CHILD = """
import numpy as np, fastbias as fb
p = fb.Plan([[1.0, 2.0]], [1.0], loss="logistic", method=fb.methods.gradient_descent(fb.steps.power(0.1, 0.3)))
print("ready", flush=True)
p.run(10 ** 12, checkpoint={path!r}, every=0.01)
"""


@pytest.mark.long
def test_sigterm_ends_the_process_with_143_and_a_checkpoint(tmp_path):
    path = tmp_path / "p.npz"
    with subprocess.Popen([sys.executable, "-c", CHILD.format(path=str(path))], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        while not path.exists():
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 143
    back = fb.Plan.load(path)
    assert "interrupted by Terminated" in back.trace.message
    assert back.trace.t[-1] == back.t
    assert sorted(os.listdir(tmp_path)) in (["p.npz"], ["p.npz", "p.npz.previous"])


def test_a_plan_is_run_by_one_thread_at_a_time(tmp_path):
    run, refused = plan(), []

    def another(_):
        def go():
            try:
                run.run(3)
            except ValueError as error:
                refused.append(str(error))
        thread = threading.Thread(target=go)
        thread.start()
        thread.join()
        run.save(tmp_path / "state.npz")

    run.run(50, callback=another)
    assert run.t == 50
    assert refused
    assert all("while another thread runs the plan" in told for told in refused)
    run.run(3)
    assert run.t == 53
