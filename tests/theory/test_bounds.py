"""Bounds on how fast margins come that are known at second hand."""
import numpy as np
import pytest

import fastbias as fb

m, S = fb.methods, fb.steps
X, y = np.array([[2.0, 1.0], [1.0, -0.5], [-0.5, 1.0]]) / 3, np.ones(3)


def told(a, **options):
    limit = fb.Plan(X, y, loss="exponential", method=m.adam(S.power(0.5, a), eps=0, **options)).limit()
    return [h for h in limit.hypotheses if "margin gap is O" in h.statement], limit


@pytest.mark.parametrize(("a", "words"), [(0.3, "t^(−0.15)"), (0.5, "t^(−0.25)"), (2 / 3, "log t · t^(−0.333)"), (0.8, "t^(−0.2)"),
                                          (1.0, "O(1/log t)")])
def test_adam_says_the_bound_of_its_steps(a, words):
    (row,), limit = told(a)
    assert words in row.statement
    assert row.holds is None
    assert limit.certified


@pytest.mark.long
@pytest.mark.parametrize("a", [0.3, 0.5, 0.8])
def test_runs_of_adam_keep_it(a):
    _, limit = told(a, beta2=0.99)
    trace = fb.run(X, y, loss="exponential", method=m.adam(S.power(0.5, a), beta2=0.99, eps=0), steps=100_000)
    gap = next(s for s in trace.rates(limit) if s.quantity == "margin gap")
    assert gap.fitted < -min(a / 2, 1 - a)
