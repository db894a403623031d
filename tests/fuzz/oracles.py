"""What must be true of any call: each oracle is told of the call and says what is wrong, or nothing.

Certificates are proved again here by other means than the library's: sums in exact fractions, lengths by mpmath, and only
the definitions of norms and potentials, not their code.
"""
from __future__ import annotations

import dis
import inspect
import os
import sys
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np

import fastbias as fb

if TYPE_CHECKING:
    from tests.fuzz.generator import Call

HERE = os.path.dirname(fb.__file__) + os.sep
ALLOWED = (ValueError, TypeError, LookupError, ArithmeticError, OSError, FileNotFoundError, IsADirectoryError,
           NotADirectoryError, PermissionError, FileExistsError)
mpmath.mp.dps = 40


class Own(Exception):  # noqa: N818 (a name, not an error of ours)
    """What a user's callback raises, which may come out."""


def exception(error: BaseException) -> str | None:
    """Only what the contract allows may come out, raised by a ``raise`` of the package, with a sentence."""
    if isinstance(error, Own) or (isinstance(error, SystemExit) and _inner(error.__traceback__).endswith("argparse.py")):
        return None
    kind, trace = type(error), error.__traceback__
    told = f"{kind.__module__}.{kind.__name__}: {str(error)[:300]}"
    if kind not in ALLOWED and not kind.__module__.startswith("fastbias"):
        return f"foreign exception {told} at {_place(trace)}"
    if not str(error).strip():
        return f"no sentence: {told} at {_place(trace)}"
    if not isinstance(error, OSError) and not _raised_here(trace):
        return f"not our sentence: {told} at {_place(trace)}"
    return None


def _last(trace: TracebackType | None) -> TracebackType:
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _inner(trace: TracebackType | None) -> str:
    return _last(trace).tb_frame.f_code.co_filename


def _raised_here(trace: TracebackType | None) -> bool:
    """Whether the innermost frame is the package's, at a ``raise``."""
    last = _last(trace)
    code = last.tb_frame.f_code
    return code.co_filename.startswith(HERE) and dis.opname[code.co_code[last.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")


def _place(trace: TracebackType | None) -> str:
    """The innermost frame of the package, and the innermost of all."""
    frames = []
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    ours = [f"{file.removeprefix(HERE)}:{line}" for file, line in frames if file.startswith(HERE)]
    last = f"{os.path.basename(frames[-1][0])}:{frames[-1][1]}"
    return " < ".join([last, *ours[-2:][::-1]])


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays in an argument."""
    if isinstance(value, np.ndarray):
        return [value]
    some = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [a for x in some for a in arrays(x)]


class Unchanged:
    """Inputs are as they were."""

    def __init__(self, call: Call) -> None:
        self.some = [] if call.label in ("descend", "capi.arguments") else arrays(list(call.args.values()))
        self.before = [(a.tobytes(), a.shape, a.dtype) for a in self.some if a.dtype.kind != "O"]

    def told(self) -> str | None:
        now = [(a.tobytes(), a.shape, a.dtype) for a in self.some if a.dtype.kind != "O"]
        return None if now == self.before else "an input was changed"


def leaked(message: Any, category: type, filename: str, lineno: int, *_: Any) -> str:
    """No warning comes out; this says which does, and from where."""
    frame, ours = sys._getframe(), ""
    while frame is not None and not ours:
        file = frame.f_code.co_filename
        ours = f"{file.removeprefix(HERE)}:{frame.f_lineno}" if file.startswith(HERE) else ""
        frame = frame.f_back
    place = f"{os.path.basename(filename)}:{lineno} < {ours or 'the generator'}"
    return f"warning {category.__name__}: {str(message)[:200]} at {place}"


def looked_at(result: Any) -> None:
    """What anybody does with an answer: print it, and read its properties. Raises what these raise."""
    for shown in (repr(result), str(result)) if type(result).__module__.startswith("fastbias") else ():
        assert isinstance(shown, str)
    for name, value in inspect.getmembers_static(type(result)) if type(result).__module__.startswith("fastbias") else ():
        if not name.startswith("_") and (isinstance(value, property) or type(value).__name__ == "cached_property"):
            getattr(result, name)
    if "matplotlib.pyplot" in sys.modules:               # which warns of many open figures
        sys.modules["matplotlib.pyplot"].close("all")


def finite(result: Any) -> str | None:
    """All rows of a trace, and all of a certified limit, are finite."""
    if isinstance(result, fb.RunStopped):
        result = result.trace
    if isinstance(result, fb.Trace) and result.problem is not None and len(result):
        for name in ("w", "u"):
            if not np.isfinite(getattr(result, name)).all():
                return f"trace with status {result.status.name} has {name} that is not finite"
        if np.isnan(result.log_loss).any() or (result.log_loss == np.inf).any():
            return f"trace with status {result.status.name} has log_loss {result.log_loss[-1]}"
    if isinstance(result, fb.Limit) and result.certified:
        for name in ("w", "dual", "duality_gap"):
            if not np.isfinite(getattr(result, name)).all():
                return f"certified limit has {name} that is not finite"
        if result.kind == "direction" and not (np.isfinite(result.margin) and result.margin > 0):
            return f"certified direction has margin {result.margin}"
    return None


# Certificates.

def certificate(call: Call, result: Any) -> str | None:
    """Prove again what an answer claims to have proved."""
    some = call.args
    if call.label == "Plan.limit" and isinstance(result, fb.Limit) and result.certified:
        problem = call.owner.problem
        if result.kind == "direction" and result.norm is not None and not problem.model.semidefinite:
            return margin(rows(problem.X.reshape(len(problem.X), *problem.sample), problem.y, result.w.shape), result)
        return at_rest(problem, result) if result.kind == "point" and problem.loss.kind == "root" else None
    if call.label == "max_margin" and result.certified:
        free = columns(some["y"], result.w.shape, _float(some["X"]).shape[1:]) if some.get("intercept") else None
        return margin(rows(some["X"], some["y"], result.w.shape), result, free)
    if call.label in ("separability", "psd_separability"):
        return separated(some, result, call.label[0] == "p")
    if call.label == "minimum_norm" and result.certified:
        return smallest(_float(some["X"]).reshape(len(result.dual), -1), _float(some["y"]) - result.intercept, result,
                        some.get("norm", "l1"))
    if call.label == "bregman_projection" and result.certified:
        return projected(some, result)
    if call.label == "diagnose" and not all(f <= 1 + 1e-7 for f in result.fractions.values()):
        return f"a fraction of a maximum is {max(result.fractions.values())}"
    if call.label == "relu.fit" and result.certified:
        return fitted(_float(some["X"]), _float(some["y"]), result)
    return None


def _float(x: Any) -> np.ndarray:
    return np.array(x, float)


def _exact(a: np.ndarray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(np.asarray(a, float))


def rows(X: Any, y: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The z of the margins ⟨w, z⟩, as fractions: signs (of two labels the later is +1), or classes where w is (K, d)."""
    X, y = _exact(_float(X)), np.asarray(y)
    y = _float(y if y.dtype.kind in "biuf" else np.unique(y, return_inverse=True)[1])    # words in their order
    if X.shape[1:] == shape:
        signs = y if set(y.tolist()) <= {-1.0, 1.0} else np.where(y == y.max(), 1.0, -1.0)
        return X.reshape(len(y), -1) * _exact(signs)[:, None]
    own = np.searchsorted(np.unique(y), y) if len(np.unique(y)) == shape[0] else y.astype(int)
    out = []
    for n, k in enumerate(own.tolist()):
        for c in range(shape[0]):
            if c != k:
                z = np.full(shape, Fraction(0), object)
                z[k], z[c] = X[n], -X[n]
                out.append(z.ravel())
    return np.array(out)


def columns(y: Any, shape: tuple[int, ...], sample: tuple[int, ...]) -> np.ndarray:
    """What an intercept is multiplied by in each of the `rows`: the signs, or e_y − e_c where w is (K, d)."""
    K = 1 if sample == shape else shape[0]
    return rows(np.ones((len(y), 1)), y, (1,) if K == 1 else (K, 1))


def evened(lam: np.ndarray, F: np.ndarray) -> np.ndarray | None:
    """λ (1 + F φ), all of them ≥ 0, whose sums Σ λ f are exactly 0: φ solves (Σ λ f fᵀ) φ = −Σ λ f, by Gauss."""
    k = F.shape[1]
    A = [[*(sum(lam * F[:, i] * F[:, j]) for j in range(k)), -sum(lam * F[:, i])] for i in range(k)]
    used: list[int] = []
    for j in range(k):
        i = next((i for i in range(k) if i not in used and A[i][j]), None)
        if i is None:
            A.append([])                                         # (of what is left over φ_j is 0)
            used.append(len(A) - 1)
            continue
        used.append(i)
        for m in range(k):
            if m != i and A[m][j]:
                ratio = A[m][j] / A[i][j]
                A[m] = [a - ratio * b for a, b in zip(A[m], A[i], strict=True)]
    phi = np.array([A[i][k] / A[i][j] if A[i] else Fraction(0) for j, i in enumerate(used)])
    found = lam * (1 + F @ phi)
    return found if min(found) >= 0 and not (found @ F).any() else None


def length(name: str, params: np.ndarray, v: np.ndarray, shape: tuple[int, ...] | None, dual: bool) -> Any:
    """‖v‖ or ‖v‖⋆ by definition, in mpmath; None where the norm is not known here."""
    p = {"l1": 1, "l2": 2, "linf": mpmath.inf}.get(name)
    v = [mpmath.mpf(x.numerator) / x.denominator for x in v]
    if p is None and name[0] == "l" and name[1:2].isdigit():
        p = mpmath.mpf(float(params[0]))
    if p is not None:
        if dual:
            p = mpmath.inf if p == 1 else 1 if p == mpmath.inf else p / (p - 1)
        big = max(abs(x) for x in v)
        if p == mpmath.inf or big == 0:
            return big
        return big * sum((abs(x) / big) ** p for x in v if x) ** (1 / mpmath.mpf(p))
    if name == "quadratic":
        D, g = mpmath.matrix(params[:len(v) ** 2].reshape(len(v), -1).tolist()), mpmath.matrix(v)
        return mpmath.sqrt((g.T * (mpmath.lu_solve(D, g) if dual else D * g))[0])
    if name in ("spectral", "nuclear") and shape is not None and len(shape) == 2:
        m, n = shape
        s = mpmath.svd_r(mpmath.matrix([v[i * n:(i + 1) * n] for i in range(m)]), compute_uv=False)
        return max(s) if (name == "spectral") != dual else sum(s)
    return None


def margin(Z: np.ndarray, limit: fb.Limit, free: np.ndarray | None = None) -> str | None:
    """The margin of w is the one said, and no larger one is possible by λ; with ``free`` columns, which intercepts are
    of, λ next to the one said balances them.
    """
    w, lam, beside = _exact(limit.w.ravel()), _exact(limit.dual), Fraction(0)
    if "polynomial tail" in limit.theorem:                     # no maximum margin is claimed: λ is of another problem
        return None
    if len(Z) != len(lam) or min(lam) < 0 or abs(float(sum(lam)) - 1) > 1e-9:
        return f"λ is not a distribution over the rows: sum {float(sum(lam))}, least {float(min(lam))}"
    if free is not None:
        if max(abs(lam @ free)) > 1e-13:
            return f"λ does not balance: Σ λ y is {float(max(abs(lam @ free)))}"
        even, beside = evened(lam, free), free @ _exact(np.atleast_1d(limit.intercept))
        if even is None:
            return "no λ next to the one that is given balances"
        lam = even
    norm = limit.norm
    size = length(norm.name, norm.params, w, norm.shape, False)
    pull = length(norm.name, norm.params, lam @ Z, norm.shape, True)
    least = min(Z @ w + beside)
    if size is None or pull is None:
        return None
    lower, upper = mpmath.mpf(least.numerator) / least.denominator / size, pull / (mpmath.mpf(1) * float(sum(lam)))
    allowed = 2e-10 if norm.name in ("l1", "l2", "linf") else 2e-8
    if abs(lower - limit.margin) > 1e-9 * abs(lower) or upper - lower > allowed * upper or abs(size - 1) > 1e-9:
        proved, bound, size = (mpmath.nstr(x, 17) for x in (lower, upper, size))
        return f"margin {limit.margin} certified in {norm.name}, but w proves {proved} and λ {bound} (‖w‖ = {size})"
    return None


def separated(some: dict[str, Any], told: Any, cone: bool) -> str | None:
    """A separator has exact margins > 0; a λ leaves nothing but rounding of Σ λ z."""
    X = _float(some["X"])
    if told.separable:
        if not np.isfinite(told.w).all() or not told.w.any():
            return f"the separator is {told.w.ravel()}"
        if cone and np.linalg.eigvalsh(told.w)[0] < -1e-12 * np.abs(told.w).max():
            return "the separator is not semidefinite"
        beside = (columns(some["y"], told.w.shape, X.shape[1:]) @ _exact(np.atleast_1d(told.intercept))
                  if some.get("intercept") else 0)
        least = min(rows(X, some["y"], told.w.shape) @ _exact(told.w.ravel()) + beside)
        return None if least > 0 else f"the separator has the margin {float(least)}"
    lam = _exact(told.dual)
    if cone:
        return None if min(lam) >= 0 else "λ has an entry < 0"
    y = _float(some["y"])
    Z = rows(X, y, X.shape[1:] if len(lam) == len(y) else (len(lam) // len(y) + 1, X.shape[1]))
    if some.get("intercept"):
        Z = np.hstack([Z, columns(y, (len(lam) // len(y) + 1, 1), (1,)) if len(lam) > len(y) else
                       columns(y, (1,), (1,))])
    left, terms = np.abs(lam @ Z), np.abs(lam) @ np.abs(Z)
    # (no λ is nearer to the one that was proved than float64's least number)
    grain = np.abs(Z).sum(axis=0) * Fraction(5e-324)
    worst = max((float((a - g) / b) for a, g, b in zip(left, grain, terms, strict=True) if b), default=0.0)
    if min(lam) < 0 or worst > 1e-9 * len(lam) ** 0.5:
        return f"λ leaves {worst} of Σ λ z, least λ {float(min(lam))}"
    return None


def feasible(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> str | None:
    """Xw = y up to rounding, relative to the terms of each sum."""
    Xe, ye, we = _exact(X.reshape(len(y), -1)), _exact(y), _exact(w.ravel())
    left, terms = np.abs(Xe @ we - ye), np.maximum(np.abs(Xe) @ np.abs(we), np.abs(ye))
    worst = max((float(a / b) for a, b in zip(left, terms, strict=True) if b), default=0.0)
    return None if worst <= 1e-8 else f"Xw = y is off by {worst}"


def at_rest(problem: Any, limit: fb.Limit) -> str | None:
    """A limit point fits where the data are realisable; of the squared loss its gradient is 0 in any case."""
    if any(h.statement.startswith("the data are realisable") and h.holds for h in limit.hypotheses):
        return feasible(problem.X, problem.y, limit.w)
    if not problem.loss.quadratic or not problem.model.linear or problem.method.constraint is not None:
        return None
    X, w, decay = _exact(problem.X), _exact(limit.w.ravel()), Fraction(problem.method.decay)
    left = np.abs(2 * X.T @ (X @ w - _exact(problem.y)) + decay * w)
    terms = 2 * np.abs(X).T @ (np.abs(X) @ np.abs(w) + np.abs(_exact(problem.y))) + decay * np.abs(w)
    worst = max((float(a / b) for a, b in zip(left, terms, strict=True) if b), default=0.0)
    return None if worst <= 1e-8 else f"the gradient at the limit is off by {worst}"


def smallest(X: np.ndarray, y: np.ndarray, limit: fb.Limit, norm: Any) -> str | None:
    """A solution whose length ν bounds from below."""
    if off := feasible(X, y, limit.w):
        return off
    norm = getattr(fb.norms, norm) if isinstance(norm, str) else norm
    nu, w = _exact(limit.dual), _exact(limit.w.ravel())
    size = length(norm.name, norm.params, w, norm.shape, False)
    pull = length(norm.name, norm.params, nu @ _exact(X), norm.shape, True)
    if size is None or pull is None:
        return None
    bound = sum(a * b for a, b in zip(nu, _exact(y), strict=True))
    bound = mpmath.mpf(bound.numerator) / bound.denominator
    if pull > 1 + 1e-9 or size - bound > 1e-7 * size:
        return f"‖w‖ = {mpmath.nstr(size, 17)}, ν proves {mpmath.nstr(bound, 17)} with ‖Xᵀν‖⋆ = {mpmath.nstr(pull, 17)}"
    return None


LINKS = {"euclidean": lambda w, p: w, "entropy": lambda w, p: mpmath.log(w) if w > 0 else mpmath.nan,
         "cosh": lambda w, p: mpmath.sinh(w), "hypentropy": lambda w, p: mpmath.asinh(w / p[0])}


def projected(some: dict[str, Any], limit: fb.Limit) -> str | None:
    """∇ψ(w) − ∇ψ(w0) = Xᵀν and Xw = y."""
    X, y, psi = _float(some["X"]), _float(some["y"]), some["potential"]
    X = X.reshape(len(y), -1)
    if some.get("constraint") is not None:
        G, h = map(_float, some["constraint"])
        X, y = np.vstack([X, G]), np.append(y, h)
    if off := feasible(X, y, limit.w):
        return off
    psi = getattr(fb.potentials, psi) if isinstance(psi, str) else psi
    if psi.name not in LINKS:
        return None
    link = LINKS[psi.name]
    w0 = psi.start(X.shape[1]) if some.get("w0") is None else _float(some["w0"]).ravel()
    pulls = _exact(limit.dual) @ _exact(X)
    for a, b, pull in zip(limit.w.ravel().tolist(), w0.tolist(), pulls, strict=True):
        pull = mpmath.mpf(pull.numerator) / pull.denominator
        z, z0 = link(mpmath.mpf(a), psi.params), link(mpmath.mpf(b), psi.params)
        if a == 0 and psi.name == "entropy" and z0 + pull < -744:
            continue                                         # its exponential is 0 in float64
        near = abs(link(mpmath.mpf(a) * (1 + mpmath.mpf(10) ** -8), psi.params) - z) * 10 ** 8
        scale = max(abs(z), abs(z0), abs(pull), near)
        others = mpmath.mpf(max(map(abs, limit.dual.tolist()))) * float(np.abs(X).max())
        if not abs(z - z0 - pull) <= 1e-8 * max(scale, others):
            return f"∇ψ(w) − ∇ψ(w0) − Xᵀν is {mpmath.nstr(z - z0 - pull, 5)} beside {mpmath.nstr(scale, 5)} in {psi.name}"
    return None


def fitted(x: np.ndarray, y: np.ndarray, told: Any) -> str | None:
    """The function goes through its points."""
    f, terms = told.function, np.abs(y).max()
    if isinstance(f, fb.relu.PiecewiseLinear):
        x = x.ravel()
        terms = abs(f.offset) + np.abs(f.slope * x) + np.maximum(x[:, None] - f.knots, 0.0) @ np.abs(f.bends)
    worst = np.abs(f(x) - y) / np.maximum(np.maximum(terms, np.abs(y)), 1e-300)
    return None if (worst <= 1e-8).all() else f"f(x) is off by {worst.max()}"
