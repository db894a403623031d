"""Hands `fb.descend`, or the C function, what does not fit, in a process that may die: python handed.py (python | c).

Every buffer lies between canaries, so that a write past either end is seen even where it does no harm. Prints each call
before it is made, and in the end how many there were.
"""
import ctypes
import sys

import numpy as np

import fastbias as fb
from fastbias.engine import abi

VALUES = (-1, 0, 1, 2, 7, 2 ** 31, 2 ** 61, 2 ** 62 + 1, 2 ** 63 - 1, 2 ** 63 - 31)
CANARY, CANARIES = -12345.0, 64
STATUSES = set(range(-8, 6))
m = fb.methods


def plans():
    """Plans of all kinds: bursts, batches, classes, matrices, models, searches, constraints."""
    rng = np.random.default_rng(0)
    X, y, c = rng.normal(size=(5, 6)), rng.choice([-1.0, 1.0], 5), [0, 1, 2, 1, 0]
    models, norms, search = fb.models, fb.norms, fb.steps.line_search()
    D = fb.potentials.quadratic(np.diag([1.0, 2, 3, 4, 5, 6]))
    yield fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01, 0.5, 0.5), gram=False)
    yield fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.01, batch=2, rng=0))
    yield fb.Plan(X, y, loss=fb.losses.huber(1), method=m.gradient_descent(0.01, batch=2, replace=False, rng=0))
    yield fb.Plan(X, y, loss="exponential", method=m.coordinate_descent(0.01))
    yield fb.Plan(X, y, loss="exponential", method=m.adagrad(0.01))
    yield fb.Plan(X, y, loss="probit", method=m.adam([0.01, 0.02]))
    yield fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 0.01, constraint=([[1] * 6], [1])))
    yield fb.Plan(X, y, loss="squared", method=m.mirror_descent(D, 0.01, primal_momentum=0.5))
    yield fb.Plan(X, y, loss="squared", method=m.natural_gradient(fb.potentials.hypentropy(0.1), 0.01))
    yield fb.Plan(X, y, loss="squared", method=m.steepest_descent(norms.quadratic(np.eye(6)), 0.01))
    yield fb.Plan(X, y, loss="logistic", method=m.steepest_descent(norms.lp(3), 0.01))
    yield fb.Plan(X, y, loss="logistic", method=m.steepest_descent(norms.group([[0, 5], [1, 2, 3, 4]]), 0.01))
    yield fb.Plan(X, c, loss="cross_entropy", method=m.muon(0.01))
    yield fb.Plan(X, y, loss="squared", method=m.gradient_descent(search))
    yield fb.Plan(X, X[:, :2], loss="squared", method=m.gradient_descent(0.01, batch=2, rng=0), weights=[1, 2, 3, 4, 5])
    yield fb.Plan(X, y, loss="exponential", method=m.dual_acceleration())
    yield fb.Plan(np.eye(5, 32), y, loss="squared", model=models.diagonal(2), start=np.full(64, 0.3),
                  method=m.gradient_descent(0.01))
    yield fb.Plan(X, y, loss="squared", model=models.relu(np.linspace(-1, 1, 6), 2), start=np.full(7, 0.3),
                  method=m.adam(0.01))
    yield fb.Plan(X.reshape(5, 2, 3), y, loss="squared", model=models.factorised(2, 3), start=np.full(10, 0.3),
                  method=m.gradient_descent(search))
    yield fb.Plan(X, c, loss="cross_entropy", model=models.convolutional(2), start=np.full(36, 0.3),
                  method=m.gradient_descent(0.01))


def fenced(a):
    """A copy of an array between canaries, and the memory that holds both."""
    memory = np.full(a.size + 2 * CANARIES, CANARY).astype(a.dtype)
    inside = memory[CANARIES:CANARIES + a.size].reshape(a.shape)
    inside[...] = a
    return inside, memory


class Call:
    """The arguments of one call, each buffer fenced, and what is looked at when it has come back."""

    def __init__(self, plan, steps=(70, 75)):
        n = plan.buffers.u.size
        records = abi.Records(np.array(steps), np.zeros((len(steps), n)), np.zeros(len(steps)))
        fences = [[fenced(a) for a in group] for group in (plan.buffers, records, (plan.problem.X, plan.problem.y),
                                                             plan.params)]
        self.memory = [memory for group in fences for _, memory in group]
        own = [[inside for inside, _ in group] for group in fences]
        self.buffers, self.records = abi.Buffers(*own[0]), abi.Records(*own[1])
        (self.X, self.y), self.params, self.pieces = own[2], abi.Params(*own[3]), plan.pieces
        self.buffers.control[abi.ROW] = 0
        self.stop, self.until = 80, -np.inf

    def check(self, status, what):
        assert isinstance(status, int), (what, status)
        assert status in STATUSES, (what, status)
        for memory in self.memory:
            assert (memory[:CANARIES] == CANARY).all(), what
            assert (memory[-CANARIES:] == CANARY).all(), what
        return status

    def python(self):
        return fb.descend(self.pieces, self.params, self.X, self.y, self.buffers, self.records, self.stop, self.until)


def spoilt(call):
    """Ways to spoil a call: (what, the status that it must have or None, a function that does it)."""
    arrays = {"params": call.params, "buffers": call.buffers, "records": call.records}

    def put(group, name, value):
        return lambda c: setattr(c, group, getattr(c, group)._replace(**{name: value}))
    for group, number in (("params", -2), ("buffers", -5), ("records", -6)):
        for name, a in zip(arrays[group]._fields, arrays[group], strict=True):
            wrong = [a.astype(np.float32), a.astype(complex), a.reshape(*a.shape, 1), a.astype(">f8"), list(a.ravel()), None,
                     a.astype(np.int8), np.array(3.0), np.zeros(2 * a.size, a.dtype)[::2].reshape(a.shape)[..., ::-1]]
            if a.dtype == float:
                wrong.append(a.astype(np.int64))
            if a.ndim == 2 and min(a.shape) > 1:
                wrong.append(np.asfortranarray(a))
            frozen = a.copy()
            frozen.flags.writeable = False
            for i, value in enumerate([*wrong, frozen]):
                if a.size > 1 or i not in (8, 11):                # turned, it is still contiguous
                    yield f"{group}.{name} of a wrong kind, {i}", number, put(group, name, value)
            yield f"{group}.{name} empty", None, put(group, name, np.zeros((0,) * a.ndim, a.dtype))
            yield f"{group}.{name} too short", None, put(group, name, a[:len(a) // 2].copy())
        yield f"{group} is None", number, lambda c, group=group: setattr(c, group, None)
    for i in range(13):
        for value in (0, -1, 7, 2 ** 64, 2 ** 63, 1.5, None, call.pieces[(i + 1) % 8] if i < 8 else call.pieces[0]):
            fields = dict(zip(abi.Pieces._fields, call.pieces, strict=True)) | {abi.Pieces._fields[i]: value}
            yield f"piece {i} is {value}", -1, lambda c, f=fields: setattr(c, "pieces", abi.Pieces(**f))
    for name, number in (("X", -3), ("y", -4)):
        a = getattr(call, name)
        for value in (a.astype(np.float32), a.T.copy().T if a.ndim == 2 else a[::-1], a[..., None], a[:0], list(a), None):
            yield f"{name} of a wrong kind", number, lambda c, v=value, name=name: setattr(c, name, v)
    yield "y too short", -4, lambda c: setattr(c, "y", c.y[:-1].copy())
    for value in (-1, 2 ** 62, 2 ** 63, 1.5, None, "80"):
        yield f"stop is {value}", -7, lambda c, v=value: setattr(c, "stop", v)
    for value in (float("nan"), None, "x"):
        yield f"until is {value}", -8, lambda c, v=value: setattr(c, "until", v)


def control(call, entry, value):
    call.buffers.control[entry] = value


def poison(call):
    """Ways to spoil the contents of order, of labels and of packed."""
    b = call.buffers
    N = len(call.y) // max(1, -b.control[abi.OUTPUTS])
    if b.control[abi.BATCH]:
        for value in (-2, N, 2 ** 62, -2 ** 63):
            for at in (N, 2 * N - 1, slice(N, 2 * N)):
                yield f"order[{at}] is {value}", -5, lambda c, at=at, v=value: (
                    c.buffers.order.__setitem__(2 * N, 0), c.buffers.order.__setitem__(at, v))
        yield "order draws one sample twice", -5, lambda c: (c.buffers.order.__setitem__(slice(N, 2 * N), 0),
                                                             c.buffers.order.__setitem__(2 * N, 0))
    if b.control[abi.OUTPUTS] > 1:
        for value in (-1.0, 3.0, 1e7, 0.5, np.nan, np.inf, -2.0 ** 63):
            yield f"a label is {value}", -4, lambda c, v=value: c.y.__setitem__(1, v)
    if b.control[abi.FILLED]:
        for at in (0, 1, N):                                       # where rows begin
            for value in (-1.0, 1e300, np.nan, 2.0 ** 62):
                yield f"packed[{at}] is {value}", -5, lambda c, at=at, v=value: (
                    c.buffers.packed.__setitem__(at, v), control(c, abi.PACKED, 1))
        filled, d = int(b.control[abi.FILLED]), call.X.shape[1]
        for at in (0, 1, filled - 1):                              # columns, behind the entries
            for value in (-1, d, 2 ** 31 - 1, -2 ** 31):
                yield f"column {at} is {value}", -5, lambda c, at=2 * (N + 1 + filled) + at, v=value: (
                    c.buffers.packed.view(np.int32).__setitem__(at, v), control(c, abi.PACKED, 1))


def python():
    count = 0
    for number, plan in enumerate(plans()):
        plan.run(70)
        todo = [*spoilt(Call(plan))][number % 3::3]            # they are looked at in Python, whatever the plan: in turn
        todo += poison(Call(plan))
        todo += [(f"control[{entry}] is {value}", None, lambda c, e=entry, v=value: control(c, e, v))
                 for entry in range(abi.CONTROL) for value in VALUES]
        assert Call(plan).python() == 0
        for what, wanted, spoil in todo:
            call = Call(plan)
            spoil(call)
            print(number, what, flush=True)
            told = call.check(call.python(), what)
            assert wanted is None or told == wanted, (number, what, told, wanted)
            count += 1
    print(count)


def c():
    """The same for the C function: NULL for each pointer, sizes that no memory has, control, order and labels."""
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 3, ctypes.c_void_p, *[ctypes.c_int64] * 2,
                                *[ctypes.c_void_p] * 2, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64,
                                *[ctypes.c_void_p] * 4, ctypes.c_int64, *[ctypes.c_void_p] * 5, *[ctypes.c_int64] * 2,
                                ctypes.c_double)(fb.capi.address())
    wholes = {4: -3, 5: -3, 8: -5, 10: -5, 15: -5, 21: -6}       # where sizes stand, and whose they are
    numbers = [-1, -2, -2, -3, 0, 0, -4, -5, 0, -5, 0, -5, -5, 0, -5, 0, -5, 0, -6, -6, -6]
    count = 0
    for number, plan in enumerate(plans()):
        plan.run(70)
        spare = plan.buffers._replace(order=np.full(11, -1) if not plan.buffers.order.size else plan.buffers.order,
                                      kept=np.zeros(8), packed=np.concatenate([plan.buffers.packed, np.zeros(400)]))

        def run(what, wanted, arguments=(), spoil=None, sizes=None, plan=plan, spare=spare, number=number):
            plan.course.buffers, before = spare, plan.buffers
            call = Call(plan)
            plan.course.buffers = before
            if spoil:
                spoil(call)
            own = np.array([p.size for p in call.params] if sizes is None else sizes, np.int64)
            pieces, params = np.array(call.pieces), np.concatenate(call.params)
            b, r = call.buffers, call.records
            given = [pieces, params, own, call.X, *call.X.shape, call.y, b.u, b.u.size, b.state, len(b.state), b.mark,
                     b.control, b.order, b.work, b.work.size, b.packed, b.kept, r.steps, r.u, r.log_loss, r.steps.size, 80,
                     -np.inf]
            for i, value in arguments:
                given[i] = value
            print(number, what, flush=True)
            told = call.check(function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in given)), what)
            assert wanted is None or told == wanted, (number, what, told, wanted)
        run("as it is", 0)
        for i, told in enumerate(numbers):
            if told:
                # (sparse rows need no X once they stand in packed)
                needless = i == 3 and plan.buffers.control[abi.FILLED]
                run(f"argument {i} is NULL", 0 if needless else told, [(i, None)])
        if plan.buffers.control[abi.BATCH]:
            run("order is NULL", -5, [(13, None)])
        for i, told in wholes.items():
            for value in (-1, -2 ** 63, 2 ** 61, 2 ** 62 + 1, 2 ** 63 - 1, 2 ** 63 - 31):
                run(f"size {i} is {value}", told, [(i, value)])
        for i in range(8):
            for value in (-1, 2 ** 61, 2 ** 63 - 1):
                sizes = [p.size for p in plan.params]
                sizes[i] = value
                run(f"sizes[{i}] is {value}", -2, sizes=sizes)
        direction, steepest = (abi.KNOWN[plan.pieces[i]] for i in (6, 8))
        own = {4: direction, 5: steepest if plan.buffers.control[abi.BURST] or direction.__name__ == "_steepest" else None}
        for i, piece in own.items():                              # what reads params says so, before it does
            if piece is not None and not piece.fits(np.empty(0), plan.buffers.u.size, 9):
                kept = plan.params._replace(**{abi.Params._fields[i]: np.empty(0)})
                run(f"{piece!r} is handed nothing", None if plan.buffers.control[abi.BURST] else -2,
                    spoil=lambda c, kept=kept: setattr(c, "params", kept))
        for i in range(13):
            pieces = np.array(plan.pieces)
            pieces[i] = 0
            run(f"piece {i} is 0", -1, [(0, pieces)])
        for what, wanted, spoil in poison(Call(plan)):
            run(what, wanted, spoil=spoil)
        for entry in range(abi.CONTROL):
            for value in VALUES:
                if entry not in (abi.LINEAR, abi.BURST, abi.OUTPUTS, abi.ROWS, abi.SCRATCH, abi.BATCH) or not 0 <= value < 8:
                    run(f"control[{entry}] is {value}", None, spoil=lambda c, e=entry, v=value: control(c, e, v))
        run("control[6] is all", None, spoil=lambda c: control(c, abi.BATCH, 5))
        count += 1
    print(count)


if __name__ == "__main__":
    {"python": python, "c": c}[sys.argv[1]]()
