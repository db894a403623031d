"""What the live pages compute of theory is what the package certifies: a hundred random data sets a solver."""
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastbias as fb

NODE = shutil.which("node")
HERE, SETS = Path(__file__).resolve().parent, 100
TILTED = np.array([[2.0, 1.5], [1.5, 2.0]])
NORMS = {"l1": (fb.norms.l1, None), "l2": (fb.norms.l2, None), "linf": (fb.norms.linf, None),
         "lp 4/3": (fb.norms.lp(4 / 3), 4 / 3), "lp 3": (fb.norms.lp(3), 3),
         "quadratic 1 9": (fb.norms.quadratic(np.diag([1.0, 9.0])), [1, 0, 9]),
         "quadratic tilted": (fb.norms.quadratic(TILTED), [2.0, 1.5, 2.0])}
POTENTIALS = {"euclidean": (fb.potentials.euclidean, None), "entropy": (fb.potentials.entropy, None),
              "hypentropy": (fb.potentials.hypentropy(.1), .1), "cosh": (fb.potentials.cosh, None),
              "power": (fb.potentials.power(1.5), 1.5), "power high": (fb.potentials.power(2.5), 2.5),
              "power higher": (fb.potentials.power(3), 3)}

pytestmark = [pytest.mark.long, pytest.mark.skipif(NODE is None, reason="no Node")]


def said(cases, tmp_path):
    """What the pages' solvers answer."""
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    out = subprocess.run([NODE, str(HERE / "theory.js"), str(tmp_path / "cases.json")], check=True, capture_output=True,
                         text=True)
    return json.loads(out.stdout)


def separable(rng, N, d):
    X, w = rng.normal(size=(N, d)), rng.normal(size=d)
    y = np.where(X @ w > 0, 1.0, -1.0)
    return X + .1 * rng.random() * y[:, None] * w, y


def test_maximum_margins_of_the_plane(tmp_path):
    rng, cases, limits = np.random.default_rng(0), [], []
    for i in range(SETS):
        name = list(NORMS)[i % len(NORMS)]
        norm, parameter = NORMS[name]
        X, y = separable(rng, int(rng.integers(2, 12)), 2)
        limits.append(fb.Plan(X, y, loss="exponential", method=fb.methods.steepest_descent(norm, .01)).limit())
        cases.append({"kind": "margin", "Z": (y[:, None] * X).tolist(), "norm": [name.split()[0], parameter]})
    for answer, limit in zip(said(cases, tmp_path), limits, strict=True):
        assert limit.certified
        assert answer["margin"] == pytest.approx(limit.margin, rel=1e-9)
        assert answer["w"] == pytest.approx(limit.w, abs=1e-7)


def test_points_that_nothing_separates_have_none(tmp_path):
    rng, cases, separate = np.random.default_rng(1), [], []
    for _ in range(SETS):
        X, y = rng.normal(size=(4, 2)), rng.choice([-1.0, 1.0], 4)
        separate.append(bool(fb.separability(y[:, None] * X, np.ones(4)).separable))
        cases.append({"kind": "margin", "Z": (y[:, None] * X).tolist(), "norm": ["l2", None]})
    assert {True, False} == set(separate)
    assert [answer is not None for answer in said(cases, tmp_path)] == separate


def test_margins_of_boosting(tmp_path):
    rng, cases, limits = np.random.default_rng(2), [], []
    for _ in range(SETS):
        X, y = separable(rng, int(rng.integers(2, 10)), int(rng.integers(2, 9)))
        X = np.sign(X) if rng.random() < .3 else X        # votes, as of stumps: many ties
        if not fb.separability(X, y).separable:
            continue
        limits.append(fb.max_margin(X, y, "l1"))
        cases.append({"kind": "game", "Z": (y[:, None] * X).tolist()})
    assert len(cases) > SETS // 2
    for answer, limit in zip(said(cases, tmp_path), limits, strict=True):
        assert answer["margin"] == pytest.approx(limit.margin, rel=1e-9)
        assert np.abs(answer["w"]).sum() == pytest.approx(1)


def test_bregman_projections(tmp_path):
    rng, cases, limits = np.random.default_rng(3), [], []
    for i in range(SETS):
        name = list(POTENTIALS)[i % len(POTENTIALS)]
        potential, parameter = POTENTIALS[name]
        N = int(rng.integers(1, 4))
        X = rng.normal(size=(N, int(rng.integers(N + 1, 9))))
        y = X @ (rng.random(X.shape[1]) + .1)
        plan = fb.Plan(X, y, loss="squared", method=fb.methods.mirror_descent(potential, .01))
        limits.append(plan.limit())
        cases.append({"kind": "projection", "X": X.tolist(), "y": y.tolist(), "potential": [name.split()[0], parameter],
                      "w0": plan.u.tolist()})
    for answer, limit in zip(said(cases, tmp_path), limits, strict=True):
        assert limit.certified
        assert answer == pytest.approx(limit.w, abs=1e-8)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_least_norms(norm, tmp_path):
    rng, cases, limits = np.random.default_rng(4), [], []
    for _ in range(SETS):
        N = int(rng.integers(1, 6))
        X = rng.normal(size=(N, int(rng.integers(N + 1, 16))))
        y = rng.normal(size=N)
        limits.append(fb.minimum_norm(X, y, norm))
        cases.append({"kind": norm, "X": X.tolist(), "y": y.tolist()})
    for answer, limit in zip(said(cases, tmp_path), limits, strict=True):
        assert answer == pytest.approx(limit.w, abs=1e-9)
