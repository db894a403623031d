"""Seven methods, seven sizes, and who runs them: fastbias, the C reference, JAX (where it is installed) and NumPy."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

import fastbias as fb
from bench import reference

SIZES = (1, 2), (4, 3), (20, 50), (50, 20), (100, 1000), (1000, 100), (1000, 1000)

Advance = Callable[[int], np.ndarray]                      # do so many further steps; w (d,) after them


@dataclass(frozen=True)
class Problem:
    """Seeded Gaussian data, X (N, d) with rows of length about one, and labels y = ±1 of a hidden linear function."""

    N: int
    d: int

    @cached_property
    def X(self) -> np.ndarray:
        """The rows x_n, (N, d)."""
        return np.random.default_rng(0).normal(size=(self.N, self.d)) / np.sqrt(self.d)

    @cached_property
    def y(self) -> np.ndarray:
        """Labels ±1, (N,); the squared loss takes them for targets."""
        return np.where(self.X @ np.random.default_rng(1).normal(size=self.d) > 0, 1.0, -1.0)

    @cached_property
    def eta(self) -> float:
        """1/σ_max(X)², under which all seven methods are stable."""
        return float(1 / np.linalg.norm(self.X, 2) ** 2)

    @property
    def name(self) -> str:
        """NxD, as on command lines."""
        return f"{self.N}x{self.d}"


@dataclass(frozen=True)
class Method:
    """A method that all contenders know.

    ``name`` is that of its loop in reference.c and ends in the loss; ``make`` gives it in fastbias for a step size η,
    ``update`` in NumPy or JAX: (xp, w, s, g, η) to (w, s), g being −∇L. η is ``scale``/σ_max(X)², or ``scale`` alone where
    the method ignores the gradient's size; times ``rest`` where it is timed, so that no run comes to rest before its last
    step. ``positive`` methods start at 1/d, the others at 0.
    """

    name: str
    title: str
    make: Callable[[float], Any]
    update: Callable[..., tuple[Any, Any]]
    scale: float = 1.0
    rest: float = 1.0
    absolute: bool = False
    positive: bool = False

    @property
    def loss(self) -> str:
        """Its name in fastbias."""
        return self.name.rpartition("_")[2]

    def eta(self, problem: Problem) -> float:
        """The step size, L being the sum over the samples."""
        return self.scale * (1.0 if self.absolute else problem.eta)

    def start(self, d: int) -> np.ndarray:
        """w(0), (d,)."""
        return np.full(d, 1 / d if self.positive else 0.0)


def _gradient(xp: Any, w: Any, s: Any, g: Any, eta: float) -> tuple[Any, Any]:
    return w + eta * g, s


def _coordinate(xp: Any, w: Any, s: Any, g: Any, eta: float) -> tuple[Any, Any]:
    j = xp.argmax(abs(g))
    if xp is not np:
        return w.at[j].add(eta * g[j]), s
    w[j] += eta * g[j]
    return w, s


def _steepest(xp: Any, w: Any, s: Any, g: Any, eta: float) -> tuple[Any, Any]:
    size = abs(g)
    return w + eta * g * size / xp.cbrt((size * size * size).sum()), s


def _adagrad(xp: Any, w: Any, s: Any, g: Any, eta: float) -> tuple[Any, Any]:
    s = s + g * g
    return w + eta * g / xp.sqrt(s + 1e-300), s


def _mirror(xp: Any, w: Any, s: Any, g: Any, eta: float) -> tuple[Any, Any]:
    s = s + eta * g
    return xp.exp(s), s


m = fb.methods
METHODS = (
    Method("gradient_exponential", "gradient descent, exponential loss", m.gradient_descent, _gradient),
    Method("gradient_logistic", "gradient descent, logistic loss", m.gradient_descent, _gradient),
    Method("gradient_squared", "gradient descent, squared loss", m.gradient_descent, _gradient, 0.5, 1e-9),
    Method("coordinate_exponential", "coordinate descent, exponential loss", m.coordinate_descent, _coordinate),
    Method("steepest_exponential", "steepest descent in ℓ1.5, exponential loss",
           lambda eta: m.steepest_descent(fb.norms.lp(1.5), eta), _steepest),
    Method("adagrad_exponential", "AdaGrad, exponential loss", m.adagrad, _adagrad, 0.05, absolute=True),
    Method("mirror_squared", "mirror descent (entropy), squared loss",
           lambda eta: m.mirror_descent("entropy", eta), _mirror, 0.05, 1e-9, positive=True),
)


def step(xp: Any, method: Method, Z: Any, y: Any, w: Any, s: Any, eta: float) -> tuple[Any, Any]:
    """One step as a user would write it in NumPy or JAX; Z: the rows y_n x_n, or x_n for the squared loss."""
    margins = Z @ w
    if method.loss == "exponential":
        weights = xp.exp(-margins)
    elif method.loss == "logistic":
        weights = 1 / (1 + xp.exp(margins))
    else:
        weights = 2 * (y - margins)
    return method.update(xp, w, s, weights @ Z, eta)


def _begin(method: Method, problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z, w(0), and the method's own state."""
    w = method.start(problem.d)
    Z = problem.X if method.loss == "squared" else problem.y[:, None] * problem.X
    return Z, w, np.log(w) if method.positive else np.zeros_like(w)


def by_numpy(method: Method, problem: Problem, eta: float) -> Advance:
    Z, w, s = _begin(method, problem)

    def advance(steps: int) -> np.ndarray:
        nonlocal w, s
        for _ in range(steps):
            w, s = step(np, method, Z, problem.y, w, s, eta)
        return w.copy()
    return advance


def by_jax(method: Method, problem: Problem, eta: float) -> Advance:
    """A ``fori_loop`` under ``jit``, in float64: the fastest way of those in JAX."""
    import jax
    jax.config.update("jax_enable_x64", True)
    Z, w, s = map(jax.numpy.asarray, _begin(method, problem))
    y = jax.numpy.asarray(problem.y)

    @jax.jit
    def run(steps: int, w: Any, s: Any) -> tuple[Any, Any]:
        return jax.lax.fori_loop(0, steps, lambda _, ws: step(jax.numpy, method, Z, y, *ws, eta), (w, s))

    def advance(steps: int) -> np.ndarray:
        nonlocal w, s
        w, s = run(steps, w, s)
        return np.asarray(w)
    return advance


def by_c(method: Method, problem: Problem, eta: float, loop: str = "") -> Advance:
    run = reference.Run(loop or method.name, problem.X, problem.y, eta, method.start(problem.d))

    def advance(steps: int) -> np.ndarray:
        run.run(steps)
        return run.w
    return advance


def by_c_in_gram_space(method: Method, problem: Problem, eta: float) -> Advance:
    return by_c(method, problem, eta, "gram_exponential")


def by_fastbias(method: Method, problem: Problem, eta: float, **options: Any) -> Advance:
    plan = fb.Plan(problem.X, problem.y, loss=method.loss, method=method.make(eta), start=method.start(problem.d), **options)
    return lambda steps: proceed(plan, steps).w[-1]


def by_fastbias_over_rows(method: Method, problem: Problem, eta: float) -> Advance:
    return by_fastbias(method, problem, eta, gram=False)


def proceed(plan: fb.Plan, steps: int) -> fb.Trace:
    """Do further steps, all of them: an early end (STALLED) must not be taken for speed."""
    begun = plan.t
    trace = plan.run(steps, record=2)
    if trace.t[-1] != begun + steps:
        raise RuntimeError(f"{plan.problem.method.name} ended at step {trace.t[-1]} of {begun + steps}: {trace.message}")
    return trace


GRAM = "gram" in inspect.signature(fb.Plan).parameters     # whether a plan may choose Gram space by itself
FASTBIAS, ROWS, C, C_GRAM, JAX, NUMPY = "fastbias", "fastbias over rows", "C", "C in Gram space", "JAX", "NumPy"
MAKERS: dict[str, Callable[..., Advance]] = {
    FASTBIAS: by_fastbias, ROWS: by_fastbias_over_rows, C: by_c, C_GRAM: by_c_in_gram_space, JAX: by_jax, NUMPY: by_numpy}


def contenders(method: Method, problem: Problem,
               names: tuple[str, ...] = tuple(MAKERS)) -> dict[str, Callable[[float], Advance]]:
    """Those that can run here and differ from each other, as functions of η."""
    wide, compiled = problem.d >= problem.N, reference.library() is not None
    able = {FASTBIAS: True, ROWS: GRAM and wide, C: compiled, JAX: _has_jax(), NUMPY: True,
            C_GRAM: compiled and wide and method.name == "gradient_exponential"}
    return {name: partial(MAKERS[name], method, problem) for name in names if able[name]}


def _has_jax() -> bool:
    try:
        import jax  # noqa: F401
    except ImportError:
        return False
    return True
