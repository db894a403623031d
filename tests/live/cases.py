"""Plans for Node, and where this machine's portable build takes them: see test_wasm.py, which starts this by
``portable.run`` (python cases.py FOLDER OUT.json).
"""
import ctypes
import json
import sys
import time
from pathlib import Path

import numpy as np

import fastbias as fb
from fastbias.engine.abi import BATCH, BURST, WEIGH

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "live"))
import plans
import portable

STEPS = 20_000
m, psi, norms, steps, models = fb.methods, fb.potentials, fb.norms, fb.steps, fb.models

METHODS = {
    "gd": m.gradient_descent(.01), "heavy ball": m.gradient_descent(.01, momentum=.9),
    "nesterov": m.gradient_descent(.01, momentum=.5, nesterov=.5), "gd, 1/L": m.gradient_descent(steps.loss_scaled(.01)),
    "gd, power": m.gradient_descent(steps.power(.02, .5)), "l1": m.steepest_descent("l1", .01),
    "linf": m.steepest_descent("linf", .01), "l4/3": m.steepest_descent(norms.lp(4 / 3), .01),
    "l3": m.steepest_descent(norms.lp(3), .01), "normalised": m.steepest_descent("l2", steps.power(.01, .5), normalised=True),
    "coordinate": m.coordinate_descent(.01), "coordinate, exact": m.coordinate_descent(steps.line_search()),
    "coordinate, ties": m.coordinate_descent(.01, ties="average"), "stagewise": m.stagewise(.001),
    "sign": m.sign_descent(steps.power(.01, .5)), "entropy": m.mirror_descent("entropy", .01),
    "hypentropy": m.mirror_descent(psi.hypentropy(.1), .01), "cosh": m.mirror_descent("cosh", .01),
    "lp potential": m.mirror_descent(psi.squared_lp(1.5), .01), "dual momentum": m.mirror_descent("entropy", .005, dual_momentum=.5),
    "primal momentum": m.mirror_descent("entropy", .001, primal_momentum=.5), "natural": m.natural_gradient("entropy", .001),
    "adagrad": m.adagrad(.01), "adam": m.adam(.001), "rmsprop": m.rmsprop(.001), "batch": m.gradient_descent(.005, batch=2, rng=3),
    "muon-like": m.steepest_descent("l2", .01), "noise": m.gradient_descent(.005, batch=2, rng=3, replace=False)}


def data(loss, N, d, rng):
    X, w = rng.normal(size=(N, d)), np.abs(rng.normal(size=d)) + .2
    if loss in ("exponential", "logistic", "probit"):
        y = np.where(X @ w > 0, 1.0, -1.0)
        return X + .4 * y[:, None] * w / np.linalg.norm(w), y
    return X, X @ w


def wanted():
    """Names and plans: every method on four problems, models beside linear, several outputs, weights."""
    rng = np.random.default_rng(0)
    for loss, N, d in (("exponential", 5, 2), ("logistic", 40, 10), ("squared", 3, 8), ("probit", 12, 4), (fb.losses.huber(1.0), 3, 6)):
        X, y = data(getattr(loss, "name", loss), N, d, rng)
        for name, method in METHODS.items():
            yield f"{getattr(loss, 'name', loss)} {N}x{d}, {name}", lambda X=X, y=y, loss=loss, method=method: fb.Plan(
                X, y, loss=loss, method=method, gram=False)
    X, y = data("squared", 4, 6, rng)
    for model, scale in ((models.diagonal(2, signed=True), .1), (models.diagonal(3), .5), (models.deep_linear(2), .3),
                         (models.convolutional(2), .3)):
        yield f"squared 4x6, {model.name}", lambda model=model, scale=scale, X=X, y=y: fb.Plan(
            X, y, loss="squared", method=m.gradient_descent(.002), model=model, start=model.start(scale, rng=0))
    X, y = rng.normal(size=(30, 3)), rng.integers(0, 3, 30)
    yield "cross entropy 30x3", lambda: fb.Plan(X, y, loss="cross_entropy", method=m.gradient_descent(.01))
    yield "weights", lambda: fb.Plan(X, np.where(y > 0, 1, -1), loss="logistic", method=m.gradient_descent(.01),
                                     weights=np.linspace(.5, 2, 30))


def native(plan, record):
    """Where the portable build takes a plan, by the entry that C and the web share."""
    arguments, held = fb.capi.arguments(plan, record)
    loop = ctypes.CFUNCTYPE(ctypes.c_int64, *map(type, arguments), ctypes.c_int64, ctypes.c_double)(fb.capi.address())
    begin = time.perf_counter()
    status = loop(*arguments, STEPS, -np.inf)
    ms = 1e3 * (time.perf_counter() - begin)
    return {"status": status, "done": plan.t, "ms": ms, "u": plan.u.tobytes().hex(), "rows": held["u"].tobytes().hex(),
            "losses": held["log_loss"].tobytes().hex()}


def main(folder, out):
    portable.enter(Path(folder))
    record, found, refused = [0, *np.unique(np.geomspace(1, STEPS, 20).astype(int)).tolist()], [], []
    for name, make in wanted():
        try:
            plan = make()
        except (ValueError, TypeError) as error:          # a combination that has no meaning
            refused.append(f"{name}: {str(error)[:80]}")
            continue
        case = {"name": name, "plan": plans.described(plan), "record": record, "steps": STEPS}
        control = plan.buffers.control
        case |= {"sums in any order": bool(control[BATCH]), "burst": int(control[BURST]), "weigh": int(control[WEIGH])}
        found.append(case | {"native": native(plan, record)})
    Path(out).write_text(json.dumps({"cases": found, "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
