"""The loop called as from C: which argument is bad, what is not overrun, and how it is hurried."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import abi

m = fb.methods
X, y = fb.data.random_regression(3, 5, rng=0, positive=True)
ETA = 0.05 / np.linalg.norm(X, 2) ** 2


def new():
    return fb.Plan(X, y, loss="squared", method=m.gradient_descent(ETA, 0.5, 0.5))


def test_hurry_comes_back_in_the_middle_of_a_step_and_undoes_nothing():
    plan = new()
    plan.run(3)
    before = plan.u
    records = abi.Records(np.array([3]), np.zeros((1, 5)), np.zeros(1))
    plan.buffers.control[abi.ROW] = 0
    plan.buffers.control[abi.HURRY] = 1
    assert fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, 10, -np.inf) == 0
    assert plan.t == 3
    assert (plan.u == before).all()
    plan.buffers.control[abi.HURRY] = 0
    assert fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, 10, -np.inf) == 0
    assert plan.t == 10
    other = new()
    other.run(10)
    assert plan.u.tobytes() == other.u.tobytes()


def test_descend_says_which_argument_is_bad():
    plan = new()
    good = [plan.pieces, plan.params, X, y, plan.buffers, abi.Records(np.array([0]), np.zeros((1, 5)), np.zeros(1)), 5,
            -np.inf]
    b = plan.buffers
    bad = [
        (2, plan.params._replace(beta=np.empty(0))), (2, plan.params._replace(gamma=np.empty(0))),
        (3, np.empty((0, 5))), (4, np.zeros(2)), (5, b._replace(work=np.zeros(3))), (5, b._replace(state=np.zeros((1, 4)))),
        (5, b._replace(control=np.zeros(2, np.int64))), (5, b._replace(mark=np.zeros((1, 5)))),
        (5, b._replace(mark=np.zeros((2, 4)))),
        (6, abi.Records(np.array([0]), np.zeros((2, 5)), np.zeros(1))),
        (6, abi.Records(np.array([0]), np.zeros((1, 4)), np.zeros(1))),
        (6, abi.Records(np.array([1, 1]), np.zeros((2, 5)), np.zeros(2))), (7, -1),
    ]
    for number, value in bad:
        args = [value if i == number - 1 else x for i, x in enumerate(good)]
        assert fb.descend(*args) == -number
        assert str(number) in abi.MESSAGES[-number]
    assert fb.descend(*good) == 0
    plan.buffers.state.resize((1, 5))
    with pytest.raises(ValueError, match="argument 5 is bad"):
        broken = new()
        broken.course.driver.buffers = broken.buffers._replace(work=np.zeros(1))
        broken.run(1)


def test_descend_refuses_rows_that_lie_behind():
    plan = new()
    plan.run(5)
    plan.buffers.control[abi.ROW] = 0
    records = abi.Records(np.array([3]), np.zeros((1, 5)), np.zeros(1))
    assert fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, 9, -np.inf) == -6


def test_descend_refuses_buffers_that_would_be_overrun():
    plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 0.01))
    records = fb.abi.Records(np.array([0]), np.zeros((1, 5)), np.zeros(1))

    def told(**changes):
        return fb.descend(plan.pieces, plan.params, X, y, plan.buffers._replace(**changes), records, 5, -np.inf)

    def control(entry, value):
        changed = plan.buffers.control.copy()
        changed[entry] = value
        return {"control": changed}

    for entry, value in ((fb.abi.BATCH, -1), (fb.abi.BATCH, 99), (fb.abi.DONE, -5), (fb.abi.ROW, -1),
                         (fb.abi.SCRATCH, 10**6), (fb.abi.WEIGH, 9), (fb.abi.BURST, -1), (fb.abi.BURST, 5),
                         (fb.abi.GRAM, 1)):
        assert told(**control(entry, value)) == -5
    assert told(packed=np.zeros(8)) == -5
    assert told(state=np.zeros((1, 5)), mark=np.zeros((2, 5))) == -5        # mirror descent keeps three rows
    assert told(u=np.ones(4), state=np.zeros((3, 4)), mark=np.zeros((4, 4))) == -5
    assert fb.descend(plan.pieces, plan.params._replace(rule=np.empty(0)), X, y, plan.buffers, records, 5, -np.inf) == -2
    assert told() == 0
