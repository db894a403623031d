"""Crafted checkpoints: every array, every control entry and the record of real ones changed, and the digest made to fit.

``python tests/fuzz/crafted.py SEED COUNT`` looks at so many of them, and says so before each: whoever reads along knows
which one it died of. A file must be refused by a ValueError in one sentence, or be a plan that runs.
"""
import copy
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import warnings

import numpy as np

import fastbias as fb
from fastbias.engine import abi
from fastbias.running import checkpoint

m, X = fb.methods, np.random.default_rng(0).normal(size=(6, 4))
y, signs = np.abs(X @ np.ones(4)), np.sign(X @ [1.0, 2, 3, 4])
SIMPLEX = [[1.0] * 4], [1]
WIDE = np.random.default_rng(1).normal(size=(5, 20))
PLANS = {
    "momentum": lambda: fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-3, 0.5, [0.1, 0.2])),
    "epochs": lambda: fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-3, batch=2, replace=False, rng=3)),
    "mirror": lambda: fb.Plan(X, y, loss=fb.losses.huber(0.5), method=m.mirror_descent("entropy", 1e-3, dual_momentum=0.5)),
    "simplex": lambda: fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 1e-3, constraint=SIMPLEX)),
    "steepest": lambda: fb.Plan(X, signs, loss="exponential", method=m.steepest_descent(fb.norms.lp(1.5), [0.1, 0.2])),
    "group": lambda: fb.Plan(X, signs, loss="logistic", method=m.steepest_descent(fb.norms.group([[0, 1], [3, 2]]), 0.1)),
    "coordinate": lambda: fb.Plan(X, signs, loss="exponential", method=m.coordinate_descent(0.1, "random", rng=7)),
    "boosting": lambda: fb.Plan(X, signs, loss="exponential", method=m.coordinate_descent(0.1)),
    "adagrad": lambda: fb.Plan(X, signs, loss="logistic", method=m.adagrad(0.1)),
    "adam": lambda: fb.Plan(X, signs, loss="probit", method=m.adam(0.1)),
    "search": lambda: fb.Plan(X, y, loss="squared", method=m.gradient_descent(fb.steps.line_search())),
    "classes": lambda: fb.Plan(X, [0, 1, 2, 0, 1, 2], loss="cross_entropy", method=m.muon(0.1)),
    "gram": lambda: fb.Plan(WIDE, np.ones(5), loss="logistic", method=m.gradient_descent(0.01, 0.5), gram=True),
    "natural": lambda: fb.Plan(WIDE, np.ones(5), loss="squared", gram=True, method=m.natural_gradient(
        fb.potentials.quadratic(np.arange(1.0, 21)), 0.001)),
    "diagonal": lambda: fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-4), model=fb.models.diagonal(3),
                                start=np.ones(12)),
    "deep": lambda: fb.Plan(np.eye(4), [1.0] * 4, loss="squared", method=m.gradient_descent(1e-2), start=np.ones(14),
                            model=fb.models.deep_linear(3, width=2)),
}
STATE = {abi.DONE, abi.ROW, abi.HURRY, abi.PACKED, abi.SHIFT, abi.BURST}
VALUES = [-2**63, -2**61, -1, 0, 1, 2, 3, 5, 8, 127, 128, 2**31, 2**61, 2**62, 2**63 - 1]
ODD = [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e-320, -1.0, 0.0]


def shaped(a):
    """The array in other shapes, of other types, missing."""
    yield "missing", None
    for dtype in (complex, np.int8, np.float32, np.int32, bool, np.uint64, np.longdouble, "U3"):
        with np.errstate(all="ignore"):
            yield str(np.dtype(dtype)), a.astype(dtype)
    yield "one axis more", a[None]
    yield "flat and longer", np.append(a.ravel(), a.ravel()[:1])
    yield "one row less", a[:-1] if a.ndim else a[None][:0]
    yield "twice", np.concatenate([a, a]) if a.ndim else np.array([a, a])
    yield "nothing", a.ravel()[:0]
    yield "number", np.zeros((), a.dtype)


def filled(a, rng):
    """The array with other numbers in it: some, or all."""
    for x in ODD if a.dtype.kind == "f" else VALUES:
        for everywhere in (False, True):
            b = a.copy()
            if b.size:
                b[...] = x if everywhere else b
                b.flat[rng.integers(b.size)] = x
            yield f"{x} {'everywhere' if everywhere else 'once'}", b


def call(shelf, name, /, **arguments):
    """A recipe."""
    return {"make": [shelf, name, {k: v if isinstance(v, dict) else {"number": v} for k, v in arguments.items()}]}


JUNK = [None, True, -1, 0, 7, 10**30, 0.5, float("nan"), "", "squared", "a" * 1000, [], [1], [[]], {}, {"a": 1}, [2**40],
        [0, 0], {"array": 0}, {"list": 3}, {"number": "0x1z"}, {"own": 1}, {"number": True}, {"ready": ["norms", "Norm"]},
        {"ready": ["steps", "as_rule"]}, {"ready": ["losses", "squared"]}, {"make": ["methods", "adam", []]},
        {"make": [{}, [], 0]}, call("models", "Model"), call("losses", "Loss", name=1), call("norms", "fourier", d=2**40),
        call("models", "diagonal", depth=2**61), call("models", "deep_linear", depth=3, width=2**61),
        call("norms", "spectral", m=2**33, n=2**33), call("potentials", "spectral_entropy", n=2**40), call("os", "system"),
        call("methods", "gradient_descent", step_size={"array": 2**40}), call("methods", "sign_descent", step_size=10**400),
        call("methods", "gradient_descent", step_size="nan", batch=2**40), call("steps", "__doc__")]


def spots(thing, path=()):
    """Where in a record something stands."""
    yield path
    for key, value in thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ():
        yield from spots(value, (*path, key))


def changed(about, path, value):
    """A copy of the record with another value there; ``...`` for none."""
    about = copy.deepcopy(about)
    if not path:
        return value if isinstance(value, dict) else {"junk": None}
    inner = about
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return about


def all_changes(arrays, about):
    """Single changes of a checkpoint: (what, the array's name or the place in the record, the new value, is it refused)."""
    rng = np.random.default_rng(0)
    for name, a in arrays.items():
        for what, b in shaped(a):
            yield f"{name}: {what}", name, b, b is None or b.dtype != a.dtype or b.shape != a.shape
        for what, b in filled(a, rng):
            yield f"{name}: {what}", name, b, a.dtype.kind == "f" and bool(np.isnan(b).any())
        for entry in range(a.size if "control" in name else 0):
            for value in (*VALUES, int(a[entry]) + 1):
                b = a.copy()
                b[entry] = value
                yield f"{name}[{entry}] = {value}", name, b, entry not in STATE and value != a[entry]
    for extra in (x for x in ("array9", "more", "gram_u", "trace_w", "__class__", "X.npy") if x not in arrays):
        yield f"also {extra}", extra, np.ones(3), True
    for path in spots(about):
        for value in (*JUNK, ...):
            if path or value is not ...:
                yield f"{path} = {str(value)[:60]}", path, value, False


def with_change(arrays, about, where, value):
    """Arrays and record after a change; as they were where it has no place any more."""
    if isinstance(where, str):
        others = {k: v for k, v in arrays.items() if k != where}
        return others | ({} if value is None else {where: value}), about
    try:
        return arrays, changed(about, where, value)
    except (LookupError, TypeError):
        return arrays, about


def saved():
    """Real checkpoints, by name: arrays and record, which is as JSON gives it back."""
    out = {}
    for name, make in PLANS.items():
        plan = make()
        plan.run(7, record=4)
        arrays, about = checkpoint.kept(plan)
        out[name] = arrays, json.loads(json.dumps({"format": checkpoint.FORMAT} | about))
    return out


def cases(seed, count):
    """The changed checkpoints with these numbers: at first all single changes in a random order, then several at once."""
    kept = saved()
    changes = {name: list(all_changes(*both)) for name, both in kept.items()}
    single = [(name, change) for name in kept for change in changes[name]]
    order = np.random.default_rng(0).permutation(len(single))
    for i in range(seed, seed + count):
        rng = np.random.default_rng(i)
        if i < len(single):
            name, change = single[order[i]]
            chosen, refused = [change], change[-1]
        else:
            name, refused = list(kept)[rng.integers(len(kept))], False
            chosen = [changes[name][j] for j in rng.integers(len(changes[name]), size=rng.integers(2, 5))]
        arrays, about = kept[name]
        for _, where, value, _ in chosen:
            arrays, about = with_change(arrays, about, where, value)
        yield i, name, " and ".join(what for what, *_ in chosen), arrays, about, refused


def look(path, arrays, about, refused):
    """Load one, and run it if it loads; returns what is wrong, or "", and whether it was refused."""
    checkpoint.write(path, arrays, about)
    try:
        plan = fb.Plan.load(path)
    except ValueError as error:
        return ("" if str(error).startswith(("path must be", "loss, method and model must be")) and "\n" not in str(error)
                else f"refused by {error}"), True
    except TypeError as error:
        return ("" if "must be given again" in str(error) else f"refused by a TypeError: {error}"), True
    if refused:
        return "it was not refused", False
    try:
        begun, trace = plan.t, plan.run(70, record=3, strict=False)
    except ValueError as error:
        return ("" if "under 2^62" in str(error) else f"its run says {error}"), False
    shown = plan.t if np.isfinite(plan.problem.log_loss(plan.u)) else trace.t[-1]          # (a trace has finite rows alone)
    if not begun <= plan.t <= begun + 70 or trace.t[-1] != shown or not np.isfinite(plan.u).all():
        return f"it ran to {plan.t} from {begun}, with {plan.u}", False
    return "", False


def main(seed, count):
    """Say the number of each case, and what is wrong with it."""
    warnings.simplefilter("error")
    number_refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, name, what, arrays, about, refused in cases(seed, count):
            print(f"case {i} {name}: {what}", flush=True)
            signal.alarm(60)                              # which kills: a run that hangs is as bad
            try:
                wrong, no = look(pathlib.Path(folder) / "c.npz", arrays, about, refused)
            except Exception as error:
                wrong, no = f"{type(error).__name__}: {error}", False
            number_refused += no
            if wrong:
                print(f"wrong {i} {name}: {what}: {' '.join(wrong.split())}", flush=True)
    print(f"done {number_refused}", flush=True)


def children(seed, count):
    """Look at cases in a child process, in another one once it has died: what is wrong, and how many were refused."""
    wrong, refused, end = [], 0, seed + count
    while seed < end:
        command = [sys.executable, __file__, str(seed), str(end - seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            last = f"case {seed} of none"
            for line in child.stdout:
                kind, _, rest = line.strip().partition(" ")
                if kind == "case":
                    last = rest
                elif kind == "wrong":
                    wrong.append(rest)
                elif kind == "done":
                    refused += int(rest)
            if child.wait() == 0:
                return wrong, refused
        wrong.append(f"{last}: died of {child.returncode}")
        seed = int(last.split()[0]) + 1 if last.split()[0].isdigit() else end
    return wrong, refused


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
