"""``python -m tests.house.digests OUT.json``: the bits of 300 runs, 100 limits and 50 fast-forwards.

``--against BEFORE.json`` compares them, too, and ends with 1 where a bit differs. Only public names
are asked, so that the same file runs on states of the package years apart:
``PYTHONPATH=CHECKOUT python tests/house/digests.py OUT.json``.
"""
from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastbias as fb

RUNS, LIMITS, FORWARDS = 300, 100, 50
SIZES = ((6, 3), (3, 7), (20, 5), (40, 12), (9, 16), (130, 24), (2, 2), (64, 64))
LABELLED = ("exponential", "logistic", "probit", "sigmoid")
ROOTED = ("squared", fb.losses.huber(0.7), fb.losses.truncated_squared(2.0))


def data(rng: np.random.Generator, size: tuple[int, int], labelled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian samples, separable ones where there are labels."""
    X, w = rng.normal(size=size), rng.normal(size=size[1])
    if not labelled:
        return X, X @ w
    y = np.sign(X @ w)
    return X + 0.2 * y[:, None] * w / np.linalg.norm(w), y


def methods(eta: float, d: int, rng: np.random.Generator) -> list[Callable[[], Any]]:
    """Every method in the contract's words, with step sizes that stay inside of what is stable."""
    m, n, p = fb.methods, fb.norms, fb.potentials
    D = np.diag(rng.uniform(0.5, 2.0, d))
    return [
        lambda: m.gradient_descent(eta), lambda: m.gradient_descent(eta, momentum=0.6),
        lambda: m.gradient_descent(eta, momentum=0.4, nesterov=0.4), lambda: m.gradient_descent(eta, batch=2, rng=3),
        lambda: m.gradient_descent(eta, batch=3, replace=False, rng=5), lambda: m.gradient_descent(fb.steps.power(eta, 0.5)),
        lambda: m.mirror_descent(p.entropy, eta), lambda: m.mirror_descent(p.hypentropy(0.3), eta),
        lambda: m.mirror_descent(p.squared_lp(1.5), eta), lambda: m.mirror_descent(p.power(1.5), eta),
        lambda: m.mirror_descent(p.cosh, eta), lambda: m.mirror_descent(p.quadratic(D), eta, dual_momentum=0.3),
        lambda: m.mirror_descent(p.euclidean, eta, primal_momentum=0.2, nesterov=0.1),
        lambda: m.natural_gradient(p.hypentropy(0.5), eta), lambda: m.natural_gradient(p.cosh, eta),
        lambda: m.steepest_descent(n.l2, eta), lambda: m.steepest_descent(n.linf, eta / 4),
        lambda: m.steepest_descent(n.l1, eta), lambda: m.steepest_descent(n.lp(4 / 3), eta),
        lambda: m.steepest_descent(n.lp(3), eta / 4), lambda: m.steepest_descent(n.quadratic(D), eta, normalised=True),
        lambda: m.steepest_descent(n.group([list(range(d // 2)), list(range(d // 2, d))]), eta),
        lambda: m.coordinate_descent(eta), lambda: m.coordinate_descent(eta, ties="average"),
        lambda: m.coordinate_descent(eta, ties="random", rng=7), lambda: m.stagewise(1e-3),
        lambda: m.adagrad(eta), lambda: m.adagrad(eta, G0=0.1, eps=1e-6), lambda: m.adam(eta), lambda: m.rmsprop(eta),
        lambda: m.sign_descent(1e-3), lambda: m.gradient_descent(fb.steps.bounded(1.0)),
    ]


def models(d: int) -> list[tuple[Any, float]]:
    """Every model of vectors, with the scale of its start."""
    m = fb.models
    return [(m.diagonal(2), 0.3), (m.diagonal(3, signed=True), 0.4), (m.deep_linear(2), 0.3), (m.convolutional(2), 0.3),
            (m.deep_linear(3, width=2), 0.4)]


def plans() -> Iterator[fb.Plan]:
    """Problems of all kinds in a fixed order, without end."""
    for seed in itertools.count():
        rng = np.random.default_rng(seed)
        size = SIZES[seed % len(SIZES)]
        labelled = seed % 3 != 0
        X, y = data(rng, size, labelled)
        loss = LABELLED[seed // 3 % 4] if labelled else ROOTED[seed // 3 % 3]
        top = float(np.linalg.norm(X, 2)) ** 2
        eta = 0.3 / top if loss not in ("exponential",) else 0.05 / top
        if seed % 5 == 4:
            model, scale = models(size[1])[seed // 5 % 5]
            yield fb.Plan(X, y, loss=loss, model=model, method=fb.methods.gradient_descent(0.1 * eta),
                          start=model.start(scale, rng=seed))
        else:
            every = methods(eta, size[1], rng)
            try:
                yield fb.Plan(X, y, loss=loss, method=every[(seed * 7 + seed // 5) % len(every)]())
            except ValueError:                            # rules and methods that this loss gives no meaning to
                continue


def sealed(*values: Any) -> str:
    """A digest of numbers and words."""
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.hexdigest()


def _run(plan: fb.Plan) -> str:
    trace = plan.run(2000, record=20, strict=False)
    return sealed(trace.t, trace.u, trace.log_loss, trace.status)


def _limit(plan: fb.Plan) -> str:
    try:
        limit = plan.limit()
    except fb.NoTheorem as refusal:
        return sealed("NoTheorem", refusal.reason)
    rows = [(row.statement, row.holds, row.evidence) for row in limit.hypotheses]
    return sealed(limit.w, limit.theorem, rows, limit.certified, limit.duality_gap)


def _forward(plan: fb.Plan) -> str:
    try:
        trace = plan.fast_forward(30.0, record=8)
    except (fb.NoTheorem, ValueError) as refusal:
        return sealed(type(refusal).__name__, str(refusal))
    return sealed(trace.log_t, trace.u, trace.log_loss, trace.error_estimate)


def digests() -> dict[str, str]:
    """The digest of each call by its name."""
    found = {}
    for kind, call, many in (("run", _run, RUNS), ("limit", _limit, LIMITS), ("forward", _forward, FORWARDS)):
        for i, plan in enumerate(itertools.islice(plans(), many)):
            found[f"{kind} {i}"] = call(plan)
    return found


def main(argv: list[str] | None = None) -> int:
    """Write the digests, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    told = parser.parse_args(argv)
    found = digests()
    told.out.write_text(json.dumps(found, indent=0))
    if told.against is None:
        return 0
    before = json.loads(told.against.read_text())
    other = [name for name in before | found if before.get(name) != found.get(name)]
    print(f"{len(found)} calls, {len(other)} differ", *other, sep="\n")
    return int(bool(other))


if __name__ == "__main__":
    sys.exit(main())
