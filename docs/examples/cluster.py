"""A sweep on a cluster of processes, kept in a folder: ``python docs/examples/cluster.py [RUNS]``.

Run it twice: the second time everything is read from the folder. Needs ``pip install
'fastbias[cluster]'``. For machines of your own replace the line with ``LocalCluster`` by

    from dask.distributed import SSHCluster
    cluster = SSHCluster(["first", "second", "third"])       # the first one is the scheduler

or, where SLURM hands out nodes (``pip install dask-jobqueue``), by

    from dask_jobqueue import SLURMCluster
    cluster = SLURMCluster(cores=32, memory="64GB", walltime="08:00:00"); cluster.scale(jobs=10)
"""
from __future__ import annotations

import sys

import numpy as np

import fastbias as fb


@fb.piece(fb.abi.SLOPE)
def slope(params, p, y, q):
    """q ← −∂L/∂p of L = Σ log cosh(p − y), a loss of one's own."""
    for i in range(p.size):
        q[i] = -np.tanh(p[i] - y[i])
    return 0.0


@fb.piece(fb.abi.LOG_LOSS)
def log_loss(params, p, y):
    """Log L."""
    total = 0.0
    for i in range(p.size):
        r = abs(p[i] - y[i])
        total += r + np.log1p(np.exp(-2.0 * r)) - np.log(2.0)
    return np.log(total)


def main(folder: str | None = None) -> fb.Sweep:
    """Sweep step size and momentum of gradient descent on 200 samples of 30 features."""
    from dask.distributed import Client, LocalCluster
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 30))
    own = fb.losses.Loss("log cosh", slope, log_loss, "root", curvature=1.0)
    plan = fb.Plan(X, X @ rng.normal(size=30), loss=own, method=fb.methods.gradient_descent(1e-3))
    grid = {"step_size": np.geomspace(1e-4, 5e-3, 6), "momentum": [0.0, 0.5]}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        return fb.sweep(plan, grid, steps=5000, record=50, store=folder,
                        executor=client.get_executor(pure=False, retries=3))


if __name__ == "__main__":
    result = main(*sys.argv[1:2])
    print(result)
    print(result.to_pandas().to_string())
