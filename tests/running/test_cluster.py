"""Sweeps on dask.distributed: the same bits, also where a worker is killed in the middle."""
import os
import runpy
import signal
import threading
import time

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT, ROOT
from tests.running.test_pickling import own_pieces
from tests.running.test_sweep_store import assert_same, kept, wait_for

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.skipif(not JIT, reason="processes compile nothing without the compiler"),
              pytest.mark.filterwarnings("ignore")]       # dask's own, of ports and of workers that are lost


@pytest.fixture(scope="module")
def client():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster) as client:
        yield client


def make(step_size):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 12))
    return fb.Plan(X, X @ np.ones(12), loss=own_pieces(), method=fb.methods.gradient_descent(step_size))


def test_the_same_bits_as_here(client):
    grid = {"step_size": [1e-4, 2e-4, 3e-4, 1.0]}
    got = fb.sweep(make, grid, steps=500, executor=client.get_executor(pure=False))
    wanted = fb.sweep(make, grid, steps=500)
    assert_same(got, wanted)
    assert list(got.failures) == [3]
    assert got.plans[0].run(100).u.tobytes() == wanted.plans[0].run(100).u.tobytes()
    tiny = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.1))
    grid = {"step_size": np.geomspace(1e-3, 1, 40)}
    assert_same(fb.sweep(tiny, grid, steps=100, executor=client.get_executor(pure=False)), fb.sweep(tiny, grid, steps=100))


def test_a_worker_that_is_killed_in_the_middle_changes_no_bit_and_loses_nothing(client, tmp_path):
    pids = list(client.run(os.getpid).values())
    grid = {"step_size": np.linspace(1e-5, 1e-4, 8)}

    def kill():
        wait_for(tmp_path / "s", 2)
        killed.append(len(kept(tmp_path / "s")))
        os.kill(pids[0], signal.SIGKILL)
    killed = []
    threading.Thread(target=kill).start()
    steps = 400_000
    got = fb.sweep(make, grid, steps=steps, record=5, store=tmp_path / "s",
                   executor=client.get_executor(pure=False, retries=5))
    assert killed
    assert killed[0] < 8
    assert not got.failures
    assert len(kept(tmp_path / "s")) == 8
    while len(client.scheduler_info()["workers"]) < 2:      # its nanny starts another one
        time.sleep(0.05)
    assert pids[0] not in client.run(os.getpid).values()
    assert_same(got, fb.sweep(make, grid, steps=steps, record=5))


def test_the_example_of_the_page_runs_and_reads_its_store_the_second_time(tmp_path):
    example = runpy.run_path(str(ROOT / "docs" / "examples" / "cluster.py"))
    sweep = example["main"](tmp_path / "s")
    files = kept(tmp_path / "s")
    assert sweep.shape == (6, 2)
    assert not sweep.failures
    assert len(files) == 12
    again = example["main"](tmp_path / "s")
    assert kept(tmp_path / "s") == files
    assert_same(again, sweep)
    page = (ROOT / "docs" / "cluster.md").read_text()
    told = example["__doc__"]
    for cluster in ("SSHCluster([", "SLURMCluster(cores"):  # the two say the same
        line, = {text.strip().partition(" #")[0].strip() for text in page.splitlines() if f"cluster = {cluster}" in text}
        assert line in told
