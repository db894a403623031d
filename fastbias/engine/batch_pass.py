"""The pass over the samples that were drawn for an update, row by row as they stand in X."""
from __future__ import annotations

from fastbias.engine.compiled import cached, inner

__all__ = ["batch_gather", "batch_margins", "batch_weights", "drawn_fit"]

# Sums may be reordered into vectors; NaN and infinity keep their meaning (no nnan, no ninf).
_sums = cached(fastmath={"reassoc", "contract", "nsz"})


@_sums
def batch_margins(X, y, order, count, w, p, y_batch):
    """p ← the margins of the drawn samples, y_batch ← their targets; places that a short batch
    leaves repeat its first.
    """
    N, d = X.shape
    K = w.size // d
    batch = p.size // K
    for i in range(batch):
        n = order[i] if i < count else order[0]
        for c in range(K):
            total = 0.0
            for j in range(d):
                total += X[n, j] * w[c * d + j]
            p[c * batch + i] = total
        for c in range(y_batch.size // batch):
            y_batch[c * batch + i] = y[c * N + n]


@_sums
def batch_gather(X, order, count, q, g):
    """g ← Σ q_i x_i over the drawn samples."""
    d = X.shape[1]
    batch = q.size // (g.size // d)
    for j in range(g.size):
        g[j] = 0.0
    for i in range(count):
        n = order[i]
        for c in range(g.size // d):
            for j in range(d):
                g[c * d + j] += q[c * batch + i] * X[n, j]


@inner
def batch_weights(c, order, count, drawn):
    """drawn ← the weights of the drawn samples, as `batch_margins` has their targets."""
    for i in range(drawn.size):
        drawn[i] = c[order[i] if i < count else order[0]]


@inner
def drawn_fit(order, count, batch, N):
    """Whether a sampler drew 0 … batch samples, all of them rows of X; of none there is a first,
    too.
    """
    fine = 0 <= count <= batch
    for i in range(max(1, min(count, batch))):
        fine &= 0 <= order[i] < N
    return fine
