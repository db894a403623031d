"""How an argument is made: a table from the name of a parameter to a function of the `Case`, and what may be wrong with it.

A `Case` is one random problem, which all arguments of a call share. `STRATEGIES` is the heart: "beta" is made alike wherever
it is asked for, "hypentropy.beta" (a function, or a class) and "Plan.load.path" are more special and go first. A parameter
without a strategy makes a test fail; write a line for it here.
"""
from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import fastbias as fb
import fastbias.running.cli
from tests.fuzz.oracles import Own

FLAVOURS = ("plain", "columns", "rows", "ties", "duplicates", "thin", "wild", "dependent", "zeros", "integers", "tiny",
            "huge")


@dataclass
class Case:
    """One random problem, which the arguments of a call share."""

    rng: np.random.Generator
    folder: Path
    maker: Callable[[str, Case], Any]                # `tests.fuzz.generator.made`
    kind: str = ""
    flavour: str = ""
    depth: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self.rng
        self.flavour = self.pick(FLAVOURS) if rng.random() < 0.6 else "plain"
        self.kind = self.pick(("root", "labels", "labels", "classes"))
        N, d = int(rng.integers(1, 7)), int(rng.integers(1, 7))
        self.sample = (d,) if rng.random() < 0.75 or self.kind == "classes" else (self.pick((2, 3)), self.pick((2, 3)))
        if len(self.sample) > 1 and rng.random() < 0.5:
            self.sample = (self.sample[0], self.sample[0])
        X = rng.normal(size=(N, int(np.prod(self.sample))))
        w = rng.normal(size=X.shape[1])
        if self.flavour in ("ties", "integers"):
            X = rng.integers(-2, 3, size=X.shape).astype(float)
        if self.flavour == "columns":
            X *= 10.0 ** rng.uniform(-8, 8, size=X.shape[1])
        if self.flavour == "rows":
            X *= 10.0 ** rng.uniform(-8, 8, size=(N, 1))
        if self.flavour == "wild":
            X *= 10.0 ** rng.uniform(-160, 160, size=X.shape[1])
        if self.flavour in ("tiny", "huge"):
            X *= 10.0 ** (rng.uniform(100, 307) * (1 if self.flavour == "huge" else -1))
        if self.flavour == "duplicates":
            X[:] = X[rng.integers(N, size=N)]
        if self.flavour == "dependent" and N > 1:
            X[-1] = X[:-1].sum(axis=0)
        if self.flavour == "zeros":
            X[rng.random(X.shape) < 0.4] = 0.0
        p = X @ w
        if self.flavour == "thin":
            u, side = w / np.linalg.norm(w), np.where(p >= 0, 1.0, -1.0)
            X += np.outer(side * 10.0 ** -rng.uniform(1, 9) - X @ u, u)
        self.d, self.w = X.shape[1], w
        if len(self.sample) > 1 and self.sample[0] == self.sample[1] and rng.random() < 0.5:
            M = X.reshape(N, *self.sample)
            X = ((M + M.transpose(0, 2, 1)) / 2).reshape(N, -1)
        y = p if rng.random() < 0.7 else rng.normal(size=N)
        if self.kind == "labels":
            y = np.where(p >= 0, 1.0, -1.0) if rng.random() < 0.8 else rng.choice([-1.0, 1.0], size=N)
        if self.kind == "classes":
            y = np.arange(N) % int(rng.integers(2, 5)) * 1.0
        self.X, self.y, self.N = X.reshape(N, *self.sample), y, N

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def made(self, kind: str) -> Any:
        """An object of a public class."""
        return self.maker(kind, self)

    def size(self, low: float = -3, high: float = 1) -> float:
        return float(10.0 ** self.rng.uniform(low, high))

    def vector(self, size: int | None = None) -> np.ndarray:
        own = getattr(self.kept.get("owner"), "size", None)
        size = size if size is not None else own if isinstance(own, int) else self.d
        return self.rng.normal(size=size) * self.pick((1.0, 1.0, 1.0, 1e-60, 1e8))

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def plan(self) -> fb.Plan:
        """One plan for all arguments of this call."""
        if "plan" not in self.kept:
            self.kept["plan"] = self.made("Plan")
        return self.kept["plan"]


def numeric(*good: float) -> Any:
    return lambda c: c.pick(good)


def of(kind: str) -> Any:
    return lambda c: c.made(kind)


def loss(c: Case) -> Any:
    usual = {"root": fb.losses.squared, "labels": c.pick((fb.losses.exponential, fb.losses.logistic))}.get(c.kind)
    return c.kept.setdefault("loss", usual if usual and c.rng.random() < 0.5 else c.made("Loss"))


def method(c: Case) -> Any:
    return fb.methods.gradient_descent(c.size(-4, 0)) if c.rng.random() < 0.3 else c.made("Method")


def step_size(c: Case) -> Any:
    how = c.rng.random()
    if how < 0.25:
        return c.made("StepRule")
    return c.size(-4, 1) if how < 0.8 else c.pick((1e-300, 1e300, 40.0, [0.1, 0.2], np.float32(0.1), 1, "auto"))


def start(c: Case) -> Any:
    if c.rng.random() < 0.1 or c.kept.get("model") is None or c.kept["model"].linear:
        return c.pick((None, np.abs(c.vector()) + 1e-3, c.vector()))
    return c.kept["model"].start(c.size(-3, 0), 0)


def model(c: Case) -> Any:
    c.kept["model"] = fb.models.linear if c.rng.random() < 0.6 else c.made("Model")
    return c.kept["model"]


def norm(c: Case) -> Any:
    return c.pick(("l1", "l2", "linf")) if c.rng.random() < 0.4 else c.made("Norm")


def record(c: Case) -> Any:
    return c.pick((None, 2, 10, 200, [0, 3, 7], np.arange(3)))


def equations(c: Case) -> Any:
    G = c.rng.normal(size=(c.pick((1, 2)), c.d))
    return None if c.rng.random() < 0.6 else (G, G @ c.w)


def definite(c: Case) -> Any:
    A = c.rng.normal(size=(c.d, c.d))
    return c.pick((np.abs(c.vector()) + 1e-9, A @ A.T + 1e-3 * np.eye(c.d)))


def groups(c: Case) -> Any:
    cut = int(c.rng.integers(1, c.d + 1))
    return [g for g in (list(range(cut)), list(range(cut, c.d))) if g]


def callback(c: Case) -> Any:
    def stops(plan: Any) -> None:
        raise StopIteration

    def breaks(plan: Any) -> None:
        raise Own("mine")
    return c.pick((None, None, stops, breaks, lambda plan: plan.t))


def plans(c: Case) -> Any:
    c.kept["grid"] = {"step_size": [0.1, c.size(-4, 1), 1e9][: c.pick((1, 2, 3))], "momentum": [0, 0.5]}
    if c.rng.random() < 0.5:
        c.kept["grid"] = None
        if c.rng.random() < 0.3:                             # a template
            c.kept["grid"] = {"step_size": [0.1, c.size(-4, 1)]}
            return c.made("Plan")
        return [c.made("Plan") for _ in range(c.pick((1, 2, 4)))]
    descent = fb.methods.gradient_descent
    return lambda step_size, momentum: fb.Plan(c.X, c.y, loss=loss(c), method=descent(step_size, momentum))


def table(c: Case) -> Any:
    """A table on disk, good or a little spoilt."""
    path, X, y = c.file(f"table{c.rng.integers(4)}" + c.pick((".csv", ".npz", ".csv"))), c.X.reshape(c.N, -1), c.y
    if path.endswith("npz"):
        np.savez(path, X=c.X, y=y)
    else:
        rows = [",".join(f"{v!r}" for v in (*x.tolist(), t)) for x, t in zip(X, y.tolist(), strict=True)]
        Path(path).write_text("\n".join([",".join(f"x{j}" for j in range(c.d)) + ",y"] * c.pick((0, 1)) + rows))
    return spoilt(path, c)


def saved(c: Case, trace: bool = False) -> str:
    """A plan or a trace on disk, good or a little spoilt."""
    path = c.file("trace.npz" if trace else "plan.npz")
    plan = c.plan()
    (plan.run(3, strict=False) if trace else plan).save(path)
    return spoilt(path, c)


def spoilt(path: str, c: Case) -> str:
    raw = bytearray(Path(path).read_bytes())
    if c.rng.random() < 0.3:
        raw[int(c.rng.integers(len(raw)))] = int(c.rng.integers(256))
        Path(path).write_bytes(raw[: int(c.rng.integers(len(raw)))] if c.rng.random() < 0.2 else raw)
    return path


def tasks(c: Case) -> list[tuple[Any, Any]]:
    """The samples, dealt to one task or two."""
    cut = c.pick((c.N, 1, c.N // 2))
    return [(c.X[part], c.y[part]) for part in (slice(0, cut), slice(cut, None)) if len(c.y[part])]


def cone(c: Case) -> Any:
    """Symmetric matrices, told apart by a semidefinite one."""
    n = c.pick((1, 2, 3))
    A, B = c.rng.normal(size=(c.N, n, n)), c.rng.normal(size=(n, n))
    X = A + A.transpose(0, 2, 1)
    c.y = np.where((X * (B @ B.T)).sum((1, 2)) >= 0, 1.0, -1.0)
    return X * c.pick((1.0, 1.0, 1e-150, 1e8))


def argv(c: Case) -> list[str]:
    """A command line."""
    line = [c.pick(("run", "margin", "diagnose", "run")), table(c)]
    if line[0] == "run":
        line += ["--loss", c.pick(("squared", "exponential", "logistic", "cross_entropy")), "--quiet", "--steps",
                 c.pick(("10", "1e3", "0", "x", "-1", "1e99")), "--method", c.pick(tuple(fastbias.running.cli.METHODS))]
    if line[0] == "diagnose":
        np.save(c.file("w.npy"), c.w)
        line.append(c.file("w.npy"))
    options = {"--norm": ("l1", "2.5", "inf", "spectral", "nan", "0"), "--step-size": ("0.1", "-1", "nan", "1e308"),
               "--potential": ("entropy", "cosh"), "--momentum": ("0.5", "inf"), "--target": ("0", "99", "y", "nobody"),
               "--drop": ("x0", "y"), "--labels": fastbias.running.cli.data.LABELS, "--until": ("-3", "nan"),
               "--out": (c.file("out.npz"), "/nowhere/out.npz"), "--proof": (c.file("proof.json"), "/nowhere/proof.json")}
    for _ in range(c.pick((0, 0, 1, 2))):
        name = c.pick(tuple(options))
        line += [name, c.pick(tuple(options[name]))]
    return line


def document(c: Case) -> Any:
    """A proof, or one with a line of something else."""
    found = fb.separability(c.X.reshape(c.N, -1), np.ones(c.N)).proof()
    if c.rng.random() < 0.5:
        found[c.pick(tuple(found))] = c.pick(("1", "x", None, [], [["1"]], {}, True, 1.5))
    return found


STRATEGIES: dict[str, Any] = {
    # problems
    "X": lambda c: c.X, "y": lambda c: c.y, "loss": loss, "method": method, "model": model, "start": start,
    "w": lambda c: c.w.reshape(c.sample) if c.rng.random() < 0.5 else c.vector(),
    "w0": lambda c: c.pick((None, np.abs(c.vector()))),
    "norm": norm, "potential": lambda c: c.pick(("entropy", "cosh")) if c.rng.random() < 0.3 else c.made("Potential"),
    "intercept": numeric(False, False, True),
    "diagnose.intercept": lambda c: c.pick((None, None, 0.0, 1.5, c.vector(int(c.y.max()) + 1 if c.kind == "classes" else 1))),
    "weights": lambda c: c.pick((None, None, np.abs(c.vector(c.N)), c.rng.integers(0, 4, c.N), np.geomspace(1e-200, 1e200, c.N))),
    "names": lambda c: c.pick((None, [f"feature {j}" for j in range(c.d)])),
    "threads": numeric("auto", 1, 2, 3),
    "constraint": equations, "gram": lambda c: c.pick((None, None, True, False)),
    # runs
    "steps": lambda c: int(c.pick((0, 1, 7, 100, 3000))), "record": record,
    "until": lambda c: c.pick((None, None, -2.0, -30.0)), "until_gradient": numeric(None, None, 0.0, 0.1, 1e-9),
    "progress": numeric(False), "callback": callback, "strict": numeric(True, False), "every": numeric(30.0, 1e-9),
    "checkpoint": lambda c: c.pick((None, None, c.file("kept.npz"))), "time": numeric(np.inf, 1.0, 100.0, 1e-3),
    "rtol": numeric(1e-10, 1e-6, 1e-3), "log_t": numeric(3.0, 30.0, 700.0, 1e9), "max_steps": numeric(1000, 20000),
    "flow": numeric(False, True), "plan": lambda c: c.plan(), "plans": plans, "grid": lambda c: c.kept.get("grid"),
    "document": document, "executor": numeric(None), "argv": argv, "record_w": numeric(True, True, False),
    "store": lambda c: c.pick((None, None, c.file("store"))), "retry_failed": numeric(False, True),
    "tasks": tasks, "cycles": numeric(1, 0, 3), "order": numeric("cyclic", "random", "average"),
    "continual.run.steps": lambda c: int(c.pick((1, 7, 100))),
    # methods and steps
    "why": lambda c: "tried", "rule": lambda c: c.pick((c.size(), fb.steps.power(0.1, 0.5))),
    "step_size": step_size, "eta": lambda c: c.size(), "eta_plus": lambda c: c.size(), "etas": lambda c: [0.1, 0.2],
    "a": lambda c: c.pick((0.5, 0.0, 1.0, 2.0)), "momentum": numeric(0.0, 0.5, 0.9, 1.5),
    "nesterov": numeric(0.0, 0.0, 0.5, 1.0),
    "dual_momentum": numeric(0.0, 0.5), "primal_momentum": numeric(0.0, 0.0, 0.5),
    "batch": lambda c: c.pick((None, None, 1, c.N)),
    "replace": numeric(True, False, "independent"), "label_noise": numeric(0.0, 0.0, 0.2),
    "precision": numeric(None, None, None, 8, "float32", 53), "rounding": numeric("nearest", "stochastic"),
    "average": numeric(None, None, "mean", 0.9), "average_from": numeric(0, 0, 0, 3),
    "gradient_noise": numeric(0.0, 0.0, 0.1), "clip": lambda c: c.pick((None, None, c.size())), "rho": lambda c: c.pick((0.9, 0.5, c.size())),
    "per_sample": numeric(False, True), "onto": numeric("orthant", "simplex", "ball", (-0.5, 1.0), (0.0, np.inf)),
    "projected.size": numeric(1.0, 1.0, 0.3), "rng": numeric(0, 1, None), "weight_decay": numeric(0.0, 0.01),
    "beta": numeric(0.9, 0.99, 1e-3),
    "beta1": numeric(0.9, 0.0), "beta2": numeric(0.999, 0.5), "eps": numeric(1e-8, 0.0, 1e-3), "G0": numeric(0.0, 1.0),
    "ties": numeric("first", "average", "random"), "tie_tol": numeric(1e-12, 0.0), "shrinkage": numeric(1.0, 0.5),
    "epsilon": numeric(0.1, 1e-3), "normalised": numeric(False, True), "k": numeric(0, 1, 10**6),
    "gamma": numeric(1.0, 0.1), "orthogonalise": numeric("polar", "ns5"),
    "amsgrad": numeric(False, True), "eps_inside_root": numeric(False, True),
    "total": numeric(1, 10, 1000), "floor": numeric(0.0, 1e-3), "warmup": numeric(0, 5), "power.offset": numeric(1.0, 10.0, 0.5),
    # norms, potentials, losses, models
    "p": numeric(1.5, 2.0, 3.0, 4 / 3, 20.0, 1.0), "D": definite, "groups": groups, "delta": lambda c: c.size(),
    "polynomial.b": numeric(1.0, 0.5, 3.0), "c": lambda c: c.size(),
    "m": lambda c: c.sample[0], "n": lambda c: c.sample[-1], "depth": numeric(1, 2, 3), "signed": numeric(False, True),
    "tied": numeric(None, False, True), "power": numeric(1, 2, 3), "frozen.model": lambda c: c.made("Model"),
    "layers": numeric(0, 1, [0]), "values": lambda c: c.pick((c.vector(), [c.vector()])),
    "attention.X": lambda c: c.vector(4 * c.N).reshape(c.N, 2, 2),
    "width": lambda c: c.pick((1, 2, 3)), "rank": numeric(None, 1, 2), "scale": lambda c: c.size(-3, 0),
    "size": lambda c: c.pick((None, c.d)),
    "x": lambda c: c.vector(c.N), "g": lambda c: c.vector(), "z": lambda c: c.vector(),
    "at": lambda c: np.abs(c.vector()),
    "A": lambda c: c.X.reshape(c.N, -1), "b": lambda c: c.vector(c.N), "z0": lambda c: c.vector(),
    "u": lambda c: c.vector(),
    "v": lambda c: c.vector(), "V": lambda c: c.vector(3 * c.d).reshape(3, c.d), "shape": lambda c: c.sample,
    "d": lambda c: c.d, "dims": numeric(1, 2, 5),
    "log": numeric(False, True), "kind": numeric("effective", "stable"), "path_gap.at": numeric("norm", "loss"),
    "trials": numeric(1, 3), "piece":
    lambda c: c.made(c.pick(("Norm", "Potential", "Loss", "Model", "StepRule", "Method"))),
    # answers
    "limit": lambda c: c.made("Limit") if c.rng.random() < 0.7 else c.w.reshape(c.sample), "later": of("Trace"),
    "t": lambda c: np.arange(3), "ax": numeric(None), "lambdas": numeric(5, [0.1, 1.0, 10.0]),
    "radii": numeric([0.1, 1.0, 10.0]),
    "knots": lambda c: c.vector(3), "bends": lambda c: c.vector(3), "slope": numeric(0.0, 1.0),
    "offset": numeric(0.0, -1.0), "models.relu.offset": numeric(True, False), "fit.offset": numeric(True, True, False),
    "margin.offset": numeric(False, True), "biases": numeric("free", "counted"), "span": numeric(None, (-1.0, 2.0)),
    "normals": lambda c: c.vector(6).reshape(3, 2), "shifts": lambda c: c.vector(3), "Network.weights": lambda c: c.vector(3),
    "other": lambda c: c.vector(), "path": lambda c: c.file("file.npz"), "header": numeric(None, True, False),
    "target": lambda c: c.pick((-1, 0, "y")), "labels": lambda c: c.pick((None, None, *fb.data.LABELS)),
    "drop": numeric((), ("x0",)), "factors": numeric((), ("x0",)), "categories": numeric("onehot", "refuse"), "missing": numeric("drop", "refuse"),
    "data.read.weights": lambda c: c.pick((None, None, "x0", 0)),
    "number": numeric(2, 3, 4), "N": numeric(1, 3), "positive": numeric(False, True),
    # pictures
    "trace": of("Trace"), "result": of("Sweep"), "value": numeric("log_loss", "t", "margin", "gap"), "label": numeric(None, "it"),
    "slopes": numeric(True, False),
    "what": numeric("loss", "loss", "margin", "gap", "angle", "trajectory", "margin gap", "distance"),
    "quantity": numeric("direction", "distance", "angle", "log loss", "margin gap"), "axes": numeric((0, 1), (1, 0)),
    "directions": lambda c: c.pick((None, c.vector(2), {"w": c.vector(3)})),
    "plots.margin.limit": of("Limit"), "plots.gap.limit": of("Limit"), "plots.angle.limit": of("Limit"),
    "plots.series.limit": of("Limit"), "plots.support.limit": of("Limit"), "plots.entries.limit": of("Limit"),
    "plots.trace.run": of("Trace"), "plots.limit.found": of("Limit"), "plots.diagnosis.found": of("Diagnosis"),
    "plots.separation.found": of("Separation"), "plots.path.found": lambda c: c.made(c.pick(("BallPath", "RegularisationPath"))),
    "Trace.plot.limit": lambda c: c.pick((None, c.made("Limit"))), "Limit.plot.X": lambda c: c.pick((None, c.X)),
    # where a name means another thing
    "hypentropy.beta": lambda c: c.size(-6, 2), "network.a": lambda c: c.vector(3), "network.b": lambda c: c.vector(3),
    "network.c": lambda c: c.vector(3),
    "Loss.p": lambda c: c.vector(c.N * (int(c.y.max()) + 1 if c.kind == "classes" else 1)),
    "arguments.steps": numeric((), [0, 1]), "data.read.path": table, "Plan.load.path": saved,
    "Trace.load.path": lambda c: saved(c, True), "symmetric.n": lambda c: c.sample[0],
    "spectral_entropy.n": lambda c: c.sample[0],
    "from_arrays.w": lambda c: np.stack([c.w.reshape(c.sample)] * 3),
    "from_arrays.loss": lambda c: c.pick((None, loss(c))),
    "RandomFourier.x": lambda c: c.vector(2 * c.kept["owner"].frequencies.shape[1]).reshape(2, -1),
    "power.p": numeric(1.5, 3.0, 4.0),
    "RandomFourier.other": lambda c: c.vector(c.kept["owner"].frequencies.shape[1])[None],
    "squared_lp.p": numeric(1.5, 4 / 3, 2.0),
    "Model.u": lambda c: c.vector(c.kept["owner"].parameters(c.d)), "psd_margin.X": cone, "psd_separability.X": cone,
    "Plan.load.loss": numeric(None), "Plan.load.method": numeric(None),
    "Plan.load.model": numeric(None), "natural_gradient.potential": lambda c: c.made("Potential"),
    "constant.eta": lambda c: c.size(),
    "descend.pieces": lambda c: c.plan().pieces, "descend.params": lambda c: c.plan().params,
    "descend.X": lambda c: c.plan().problem.X,
    "descend.y": lambda c: c.plan().problem.y, "descend.buffers": lambda c: c.plan().buffers,
    "descend.stop_at": numeric(3, 0),
    "identify.problems": lambda c: [(c.X, c.y)] * c.pick((1, 3)), "identify.limits": lambda c: [c.vector()] * 3,
    "identify.starts": lambda c: c.pick((None, c.vector())),
    "gradients": lambda c: c.kept.setdefault("gradients", c.rng.normal(size=(c.pick((1, 3)), c.d))),
    "updates": lambda c: c.kept.get("gradients", np.ones((1, c.d))) * c.pick((-0.1, 1.0, -1e-9)),
    "features": lambda c: c.X, "last_layer.labels": lambda c: c.y, "last_layer.weights": lambda c: c.w,
    "last_layer.intercept": numeric(None, 0.0), "last_layer.step_size": numeric(0.1, 1.0),
    "transformation": lambda c: type("Still", (), {"init": lambda self, u: (), "update": lambda self, g, s, u: (np.zeros_like(g), s)})(),
    "descend.until": numeric(-np.inf), "descend.records": lambda c: fb.abi.Records(
        np.zeros(1, np.int64), np.zeros((1, c.plan().u.size)), np.zeros(1)), "PiecewiseLinear.slope": numeric(0.0, 1.0),
}


def ranks(label: str, name: str) -> tuple[str, ...]:
    """The keys under which an argument of a call is looked for, the most special first."""
    home, _, last = label.rpartition(".")
    return (f"{label}.{name}", f"{last}.{name}", f"{home}.{name}", name)


def strategy(label: str, name: str) -> Any:
    """How an argument is made: the most special rule that there is; None where there is none."""
    return next((STRATEGIES[rank] for rank in ranks(label, name) if rank in STRATEGIES), None)


class Framed:
    """As pandas hands over its numbers."""

    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.array(self.a, dtype)


JUNK = (
    None, "x", "", b"x", "l7", "\0", True, False, float("nan"), np.inf, -np.inf, -1, 0, 0.0, 1.5, 2**40, 2**63, 2**64,
    10**400, 1e300, 1e-320, -1e-320, Fraction(1, 3), 1j, object(), object, len, [], (), {}, [[]], [1, [2]], ["1"], [None],
    {"a": 1}, {1.0, 2.0}, ((1,), (2,)), range(3), slice(None), Ellipsis, Path("/nowhere/x"), "/nowhere/x", np.array([]),
    np.array(1.0), np.array("x"), np.array([True]), np.zeros((0, 3)), np.zeros((2, 0)), np.zeros((2, 2, 2, 2)),
    np.ones(3, complex), np.ones(2, object), np.datetime64("2020"), np.int8(3), np.float32(0.1), fb.norms.l1,
    fb.losses.squared, fb.potentials.entropy, fb.models.linear, fb.norms.lp)


def poked(a: np.ndarray, value: float, at: int) -> np.ndarray:
    a = np.array(a, complex if np.iscomplexobj(a) else float)
    a.flat[at % max(a.size, 1): at % max(a.size, 1) + 1] = value
    return a


def frozen(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


BENT: tuple[Callable[[np.ndarray, int], Any], ...] = (
    lambda a, r: a.astype(np.float32), lambda a, r: np.clip(a, -100, 100).astype(np.int8), lambda a, r: a.astype(complex),
    lambda a, r: a.astype(object), lambda a, r: a.astype(str), lambda a, r: a.astype(np.longdouble), lambda a, r: a > 0,
    lambda a, r: a.astype(">f8"), lambda a, r: (a > 0) * 1, lambda a, r: np.asfortranarray(a), lambda a, r: a[::-1],
    lambda a, r: np.repeat(a, 2)[::2], lambda a, r: a.T, lambda a, r: a.tolist(), lambda a, r: (row for row in a),
    lambda a, r: Framed(a), lambda a, r: np.ma.masked_array(a, a > 0), lambda a, r: frozen(a), lambda a, r: a[:-1],
    lambda a, r: np.concatenate([a, a[:1]]), lambda a, r: a[None], lambda a, r: a[..., None], lambda a, r: a.ravel(),
    lambda a, r: a * 0, lambda a, r: -a, lambda a, r: np.rint(a), lambda a, r: a * 1e300, lambda a, r: a * 1e-300,
    lambda a, r: poked(a, np.nan, r), lambda a, r: poked(a, np.inf, r), lambda a, r: poked(a, 1e300, r),
    lambda a, r: poked(a, 1e-320, r))


def bent(value: Any, c: Case) -> Any:
    """A value near a good one: of another type, order, shape, size; or junk."""
    if isinstance(value, np.ndarray) and value.ndim and c.rng.random() < 0.7:
        with np.errstate(all="ignore"), warnings.catch_warnings(), suppress(TypeError):     # not all goes with all types
            warnings.simplefilter("ignore")
            return c.pick(BENT)(value, int(c.rng.integers(99)))
    if isinstance(value, (tuple, list)) and value and c.rng.random() < 0.5:
        i = int(c.rng.integers(len(value)))
        other = [bent(x, c) if j == i else x for j, x in enumerate(value)]
        return type(value)(*other) if hasattr(value, "_fields") else type(value)(other)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**62 and c.rng.random() < 0.6:
        return c.pick((-value, value * 1e10, value * 1e-10, float(value), str(value), [value], np.array(value), value + 0.5,
                       Fraction(value) if np.isfinite(value) else value, np.longdouble(value)))
    return copy.copy(c.pick(JUNK))
