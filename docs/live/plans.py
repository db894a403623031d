"""A plan as JSON: which pieces it is put together from, by name, their numbers, and all memory of a
run that is at its start. ``engine.js`` lays it out again; it knows nothing else of the package.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import portable

import fastbias as fb
from fastbias.engine.abi import KNOWN, Params


def _numbers(a: np.ndarray) -> list[Any]:
    """The numbers of an array, flat; JSON has no word for those that are not finite."""
    return [x if np.isfinite(x) else {np.inf: "Infinity", -np.inf: "-Infinity"}.get(x, "NaN")
            for x in np.ravel(a).tolist()]


def described(plan: fb.Plan) -> dict[str, Any]:
    """All that the loop is handed of a dense plan, to the last bit."""
    names = {id(piece): name for name, piece in portable.pieces().items()}
    b, problem = plan.buffers, plan.problem
    return {
        "pieces": [names[id(KNOWN[address])] for address in plan.pieces],
        "params": {name: _numbers(p) for name, p in zip(Params._fields, plan.params, strict=True)},
        "N": problem.X.shape[0], "d": problem.X.shape[1], "X": _numbers(problem.X),
        "y": _numbers(problem.y), "u": _numbers(b.u), "state": _numbers(b.state),
        "control": b.control.tolist(), "order": b.order.size, "kept": b.kept.size,
        "work": b.work.size, "packed": b.packed.size}


DATA = ([[0.9, 1.5], [2.2, 1.7], [0.2, 2.6], [1.2, 2.7], [2.9, 2.6], [-1.4, -1.9], [-2.6, -1.6],
         [-0.2, -2.7], [-0.4, -2.2], [-2.2, -2.7]], [1] * 5 + [-1] * 5)
TILTED = np.array([[2.0, 1.5], [1.5, 2.0]])
STRETCHED = np.diag([1.0, 9.0])


def geometries() -> dict[str, Any]:
    """Steepest descent in seven norms, two losses, three rules for the step."""
    def quadratic(D: np.ndarray) -> dict[str, Any]:
        return {"norm": fb.norms.quadratic(D), "D": [D[0, 0], D[0, 1], D[1, 1]]}
    norms: dict[str, dict[str, Any]] = {
        "l2": {"name": "ℓ2: gradient descent", "norm": fb.norms.l2},
        "l1": {"name": "ℓ1: coordinate descent", "norm": fb.norms.l1},
        "linf": {"name": "ℓ∞: sign descent", "norm": fb.norms.linf},
        "l43": {"name": "ℓ4/3", "norm": fb.norms.lp(4 / 3), "p": 4 / 3},
        "l3": {"name": "ℓ3", "norm": fb.norms.lp(3), "p": 3},
        "stretched": {"name": "√(w₁² + 9w₂²)"} | quadratic(STRETCHED),
        "tilted": {"name": "√(2w₁² + 3w₁w₂ + 2w₂²)"} | quadratic(TILTED)}
    rules = {"scaled": fb.steps.loss_scaled(0.02), "constant": 0.02,
             "power": fb.steps.power(0.1, 0.5)}
    plans = {
        f"{key} {loss} {rule}": described(fb.Plan(
            *DATA, loss=loss, gram=False, method=fb.methods.steepest_descent(about["norm"], eta)))
        for key, about in norms.items() for loss in ("exponential", "logistic")
        for rule, eta in rules.items()}
    shown = [{"key": key} | {name: x for name, x in about.items() if name != "norm"}
             for key, about in norms.items()]
    return {"data": {"X": DATA[0], "y": DATA[1]}, "geometries": shown, "plans": plans}


def figure1() -> dict[str, Any]:
    """The plans of Figure 1; step sizes, momentum and data are the page's."""
    mirror, (X, _) = fb.methods.mirror_descent, fb.data.example(4)

    def plan(method: fb.methods.Method, example: int) -> dict[str, Any]:
        data = fb.data.example(example)
        return described(fb.Plan(*data, loss="squared", method=method, gram=False))
    return {
        "a": {"plain": plan(mirror("entropy", 0.05), 2),
              "primal": plan(mirror("entropy", 0.05, primal_momentum=0.5, nesterov=0.5), 2),
              "dual": plan(mirror("entropy", 0.05, dual_momentum=0.5), 2)},
        "b": {"plan": plan(fb.methods.natural_gradient("entropy", 0.1), 3)},
        "c": {"plan": plan(fb.methods.steepest_descent(fb.norms.lp(4 / 3), 0.1), 4),
              "X": X.tolist()}}


# y_n h_j(x_n) of Rudin, Daubechies and Schapire (2004)
VOTES = [[-1, 1, 1, 1, 1, -1, -1, 1], [-1, 1, 1, -1, -1, 1, 1, 1], [1, -1, 1, 1, 1, -1, 1, 1],
         [1, -1, 1, 1, -1, 1, 1, 1], [1, -1, 1, -1, 1, 1, 1, -1], [1, 1, -1, 1, 1, 1, 1, -1],
         [1, 1, -1, 1, 1, 1, -1, 1], [1, 1, 1, 1, -1, -1, 1, -1]]


def boosting() -> dict[str, Any]:
    """Coordinate descent with exact steps, with shrinkage, and steps of a tenth over the loss."""
    def plan(step_size: Any, **options: Any) -> dict[str, Any]:
        method = fb.methods.coordinate_descent(step_size, **options)
        return described(fb.Plan(VOTES, np.ones(len(VOTES)), loss="exponential", method=method,
                                 gram=False))
    return {"M": VOTES, "exact": plan(fb.steps.line_search()),
            "shrunk": plan(fb.steps.line_search(), shrinkage=0.5),
            "scaled": plan(fb.steps.loss_scaled(0.1))}


def kernel() -> dict[str, Any]:
    """A diagonal network on ten equations in 24 unknowns, of which two are not 0 in truth."""
    rng = np.random.default_rng(15)
    X, w = rng.normal(size=(10, 24)), np.zeros(24)
    w[rng.choice(24, 2, replace=False)] = 1.2, -0.8
    model = fb.models.diagonal(2, signed=True)
    plan = fb.Plan(X, X @ w, loss="squared", method=fb.methods.gradient_descent(0.001), model=model,
                   start=model.start(0.1))
    return {"plan": described(plan), "X": X.tolist(), "y": (X @ w).tolist()}


def potentials() -> dict[str, Any]:
    """Mirror descent with five potentials on two equations in six unknowns."""
    X, y = np.array([[1.0, 0.5, 1.5, -0.5, 0.8, 0.2], [-0.6, 1.2, 0.3, 0.9, -1.0, 0.4]]), [2.5, 0.6]
    psi = fb.potentials
    used = {"euclidean": psi.euclidean, "entropy": psi.entropy, "hypentropy": psi.hypentropy(0.01),
            "cosh": psi.cosh, "power": psi.power(3)}
    return {"X": X.tolist(), "plans": {name: described(fb.Plan(
        X, y, loss="squared", method=fb.methods.mirror_descent(one, 0.01), gram=False))
        for name, one in used.items()}}


PAGES = {"geometries": geometries, "figure1": figure1, "potentials": potentials,
         "kernel": kernel, "boosting": boosting}


def main(folder: str, out: str) -> None:
    """Write OUT/PAGE.plans.js for each page."""
    portable.enter(Path(folder))
    for name, made in PAGES.items():
        text = json.dumps(made(), ensure_ascii=False)
        (Path(out) / f"{name}.plans.js").write_text(f"const PLANS = {text};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
