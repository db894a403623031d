"""Every method with every loss: fast-forward and flow answer as a run does, or say in a sentence why not."""
import pickle
import re

import numpy as np
import pytest

import fastbias as fb
from fastbias.pieces import losses, methods
from tests.helpers.marks import slow
from tests.helpers.problems import XK, YK, separable

m, N = fb.methods, fb.norms
X, y = separable(12, 5, 3)
XM = np.einsum("ni,nj->nij", X, np.ones((12, 3))) + 0.1 * np.random.default_rng(0).normal(size=(12, 5, 3))
# momentum in the gradient, looking ahead or not, where moves are linear in it
SUMS = [m.steepest_descent("l2", 0.02, momentum=0.9), m.steepest_descent("l2", 0.02, momentum=0.9, nesterov=0.9),
        m.steepest_descent(N.quadratic([1, 2, 3, 4, 5.0]), 0.02, momentum=0.5, nesterov=2.0)]
SLOW = losses.sigmoid, losses.probit
FAR, BUDGET = 300_000, 100_000
MEANT = "cannot be fast-forwarded|closed form|two handovers|ask for more|not separable|could not be followed|ended early"


def plan_of(loss, method):
    """A plan of some data that they fit; None where they do not fit each other."""
    A, b = (XK, YK) if loss.classes else (0.3 * X, y) if loss.kind == "root" else (X, y)     # (their steps are bounded)
    for data, start in ((A, None), (A, 0.3), (XM, None)):
        try:
            d = int(np.prod(data.shape[1:])) * (3 if loss.classes else 1)
            return fb.Plan(data, b, loss=loss, method=method, start=None if start is None else np.full(d, start))
        except ValueError:
            continue
    return None


def answers(loss, ask):
    """What each method's plan says when it is asked, with the plan; and what those said that have no answer."""
    found, refused = [], []
    for plan in filter(None, (plan_of(loss, method) for method in (*methods.EXAMPLES, *SUMS))):
        try:
            found.append((plan, ask(plan)))
        except LookupError as told:
            refused.append(told)
    return found, refused


@pytest.mark.long
@pytest.mark.parametrize("loss", [loss for loss in losses.EXAMPLES if loss not in SLOW] + slow(*SLOW), ids=repr)
def test_fast_forward_is_a_run_or_a_reason(loss):
    found, refused = answers(loss, lambda plan: [plan.fast_forward(log_t, record=1, max_steps=BUDGET)
                                                 for log_t in (np.log(FAR), 1e3)])
    for plan, (trace, far) in found:
        assert np.isfinite(far.w).all()
        assert np.isfinite(far.error_estimate).all()
        exact = plan.run(FAR, record=2)
        error = np.abs(trace.w[-1] - exact.w[-1]).max() if exact.t[-1] == FAR else 0.0
        assert error <= trace.error_estimate[-1] <= 0.1, (plan.problem.method, loss)
    for told in refused:
        assert isinstance(told, fb.NoTheorem)
        assert re.search(MEANT, told.reason), told.reason
    # the squared loss has a closed form, and monotone losses fields where they declare what these ask
    assert len(found) >= (10 if loss.ratio is not None else 2 if loss.quadratic else 0)


@pytest.mark.parametrize("loss", losses.EXAMPLES, ids=repr)
def test_a_flow_is_one_or_says_why_there_is_none(loss):
    found, refused = answers(loss, lambda plan: plan.flow(0.01))
    for _, trace in found:
        assert np.isfinite(trace.w).all()
        assert trace.t[-1] == 0.01
        # a flow is what small steps of gradient, mirror, natural or steepest descent become: the first loses no more
        assert trace.log_loss[-1] <= trace.log_loss[0] + 1e-12
    assert len(found) >= 3
    assert refused
    for told in refused:
        assert isinstance(told, ValueError)                      # it is both
        assert "method must" in str(told)
        assert type(pickle.loads(pickle.dumps(told))) is type(told)
