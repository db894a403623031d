"""Runs whose passes several threads share: data of some slabs, and plans on them."""
import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT

RNG = np.random.default_rng(0)
N, D = 530, 34                                                           # two slabs; the last rows do not fill a vector
X = RNG.normal(size=(N, D))
Y = np.where(X @ RNG.normal(size=D) + RNG.normal(size=N) > 0, 1.0, -1.0)
THIN = np.where(abs(X) > 0.05, X, 0.0)
WIDE = RNG.normal(size=(1100, 122))                                      # sixteen
WIDE_Y = np.where(WIDE @ RNG.normal(size=122) > 0, 1.0, -1.0)
needs_threads = pytest.mark.skipif(not JIT, reason="without the compiler there is one thread")



def plan(threads=1, X=WIDE, y=WIDE_Y, loss="logistic", method=None, **options):
    return fb.Plan(X, y, loss=loss, method=method or fb.methods.gradient_descent(1e-4, 0.5), threads=threads, **options)
