"""Ctrl-C while several threads share a run: it goes on from there, and nobody waits for ever."""
import gc
import threading
import time

import numpy as np
import pytest

from fastbias.engine import abi, driver, helpers
from tests.helpers import JIT
from tests.helpers.signals import ctrl_c
from tests.helpers.threads import needs_threads, plan

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def compiled():
    """An interruption of the compiler is none of a run."""
    if JIT:
        for threads in (1, 3):
            plan(threads).run(10)


@needs_threads
@pytest.mark.parametrize("large", [10**9, 0], ids=["leader is here", "leader is a thread"])
def test_a_run_that_is_interrupted_goes_on(eager, monkeypatch, large):
    monkeypatch.setattr(driver, "LARGE", large)
    one, times = plan(3), 5
    for i in range(times):
        with pytest.raises(KeyboardInterrupt):
            ctrl_c(0.05 + 0.013 * i)
            one.run(10**9, record=2)
    two = plan(1)
    two.run(one.t, record=2)
    assert one.u.tobytes() == two.u.tobytes()
    assert one.run(10).w[-1].tobytes() == two.run(10).w[-1].tobytes()


@needs_threads
def test_hurry_in_the_middle_of_a_pass_undoes_nothing(eager):
    one, stop = plan(3, loss="probit"), threading.Event()

    def hurry():
        while not stop.is_set():                                         # on and off: some will see it, and others not
            one.buffers.control[abi.HURRY] = 1
            one.buffers.control[abi.HURRY] = 0
            time.sleep(1e-4)
    pest = threading.Thread(target=hurry)
    pest.start()
    try:
        while one.t < 400:
            one.run(50, record=2)
    finally:
        stop.set()
        pest.join()
        one.buffers.control[abi.HURRY] = 0
    two = plan(1, loss="probit")
    two.run(one.t, record=2)
    assert one.u.tobytes() == two.u.tobytes()


@needs_threads
@pytest.mark.parametrize("late", [False, True], ids=["as it is handed over", "in the middle of it"])
def test_ctrl_c_while_it_waits_for_a_helper_is_not_a_deadlock(late):
    """Who is interrupted as a lock is handed over has it and does not know."""
    class Interrupted:
        def __init__(self, lock):
            self.lock, self.times = lock, 0

        def acquire(self, timeout):
            self.times += 1
            if late and self.times == 1:
                raise KeyboardInterrupt
            self.lock.acquire(timeout=timeout)
            if self.times == 1:
                raise KeyboardInterrupt
            return True

    left = [helpers.Parting() for _ in range(3)]
    for one in left:
        one._lock = Interrupted(one._lock)
    teller = threading.Timer(0.05, lambda: [setattr(one, "over", True) or one._lock.lock.release() for one in left[:2]])
    teller.start()
    with pytest.raises(KeyboardInterrupt):
        helpers.away(left[:2])
    teller.join()
    assert helpers.away(left[:2]) == []                                  # and nobody waits twice
    assert left[2]._lock.times == 0
    with pytest.raises(KeyboardInterrupt):
        helpers.away(left[2:], 1e-3)
    assert helpers.away(left, 1e-3) == left[2:]


@pytest.fixture
def still():
    """Nobody's garbage is collected: Python calls back what is weakly referred to, and says aloud what Ctrl-C raises there."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@needs_threads
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("large", [10**9, 0], ids=["leader is here", "leader is a thread"])
def test_hundreds_of_ctrl_c_at_any_time(eager, still, monkeypatch, large):
    monkeypatch.setattr(driver, "LARGE", large)
    one, two, rng = plan(3), plan(1), np.random.default_rng(large)
    for delay in rng.uniform(1e-3, 0.08, 150):
        with pytest.raises(KeyboardInterrupt):
            ctrl_c(delay)
            one.run(10**6, record=2)
    two.run(one.t, record=2)
    assert one.u.tobytes() == two.u.tobytes()
