"""Solvers end: at a limit of time, and where Ctrl-C asks for it, however long they would have gone on."""
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastbias as fb
from fastbias.checks import foreign
from fastbias.solvers import conic_programs, programs

N = fb.norms


def nuclear(size, seed=0):
    """A cone program: the least nuclear norm of a matrix with three given products."""
    import cvxpy as cp
    A = np.random.default_rng(seed).normal(size=(3, size, size))
    W = cp.Variable((size, size))
    return cp.Problem(cp.Minimize(cp.normNuc(W)), [cp.sum(cp.multiply(a, W)) == 1 for a in A])


def test_a_cone_program_is_what_cvxpy_solves():
    program, other = nuclear(4), nuclear(4)
    conic_programs.solve_cone(program)
    other.solve("CLARABEL")
    assert program.status == other.status == "optimal"
    assert program.value == pytest.approx(other.value, rel=1e-6)
    np.testing.assert_allclose(program.constraints[1].dual_value, other.constraints[1].dual_value, atol=1e-5)


def test_a_cone_program_ends_when_its_time_is_over(monkeypatch):
    program = nuclear(4)
    with pytest.raises(foreign.Unsolved, match="in time"):
        conic_programs.solve_cone(program, until=time.process_time())
    monkeypatch.setattr(programs, "PATIENCE", -1.0)
    assert not programs.solve_tightly(program)
    monkeypatch.setattr(programs, "PATIENCE", 60.0)
    assert programs.solve_tightly(program)                                  # and nothing of that stays behind


def test_where_conic_programs_have_no_time_the_next_candidate_is_tried(monkeypatch):
    rng = np.random.default_rng(2)
    X, w = rng.normal(size=(40, 3, 3)), rng.normal(size=(3, 3))
    y = np.sign(np.tensordot(X, w, 2))
    asked, solve = [], programs.solve_tightly
    monkeypatch.setattr(programs, "PATIENCE", -1.0)
    monkeypatch.setattr(programs, "solve_tightly", lambda program: asked.append(solve(program)))
    assert fb.max_margin(X, y, N.nuclear(3, 3)).certified
    assert asked
    assert not any(asked)


def test_ctrl_c_ends_a_cone_program_between_two_steps(monkeypatch):
    asked = []

    def clock():
        asked.append(0)
        if len(asked) == 3:                                                 # first where it begins, then at each step
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0
    monkeypatch.setattr(conic_programs, "process_time", clock)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        conic_programs.solve_cone(nuclear(6))
    assert len(asked) <= 5
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    conic_programs.solve_cone(nuclear(6))


SLOW = """
import os, signal, sys, threading, time
import numpy as np, fastbias as fb
rng = np.random.default_rng(0)
X, w = rng.normal(size=(60_000, 150)), rng.normal(size=150)
y = np.where(X @ w > 0, 1.0, -1.0)
fb.max_margin(X[:50, :5] + 9 * y[:50, None], y[:50], fb.norms.lp(1.5))         # all that is imported on the way
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    {call}
    print("was too quick")
except KeyboardInterrupt:
    print("answered")
"""


@pytest.mark.parametrize("call", ["fb.separability(X, y)", "fb.max_margin(X, y, fb.norms.lp(1.5))", "fb.diagnose(X, y, w)"])
def test_ctrl_c_is_answered_while_solvers_are_at_work(call):
    told = subprocess.run([sys.executable, "-c", SLOW.replace("{call}", call)], capture_output=True, text=True, timeout=300)
    assert told.stdout.split("\n")[0] == "answered", told.stderr
    assert "Traceback" not in told.stderr
