"""Runs in Gram space: N coefficients α instead of d parameters, where the method never leaves the
span of the data.

Gradient descent, with any momentum, and steepest, natural and mirror descent in a quadratic
geometry D move by D⁻¹Xᵀq. So w = w⊥ + D⁻¹Xᵀα with a w⊥ that stays, predictions are Kα with K = X
D⁻¹ Xᵀ, and the update of α is the method's own along q itself: one pass over N² numbers instead of
one over N d. The iterates are the same to rounding as long as K is well conditioned; where it is
not, α may grow without bound behind a w that stands still, and the run stays with the parameters.
"""
from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from fastbias.checks import files
from fastbias.engine.abi import (
    BURST,
    CONTROL,
    DONE,
    GRAM,
    LINEAR,
    LOSS,
    OUTPUTS,
    ROW,
    SEARCH,
    WATCH,
    WEIGH,
    Buffers,
    Params,
    Pieces,
    Records,
    Status,
    kernel,
    packed_room,
    padded,
    room,
)
from fastbias.engine.compiled import JIT
from fastbias.engine.dense_pass import pack
from fastbias.engine.driver import Driver
from fastbias.engine.fused import GRADIENT
from fastbias.engine.layout import Data
from fastbias.engine.passes import products
from fastbias.engine.shared import aligned
from fastbias.engine.weighing import NONE
from fastbias.pieces.methods import gradient_descent
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.running import memory
from fastbias.running.buffers import handed, layout
from fastbias.theory.base import quadratic

__all__ = ["Gram", "gram"]

# features from which it pays; samples up to which K is cheap beside a run
LEAST, SAMPLES = 16, 1024
CONDITION = 1e6                       # of K: that of X, squared
# what the coefficients do, whose momentum and step rule are the method's
PLAIN = gradient_descent(1.0)
CACHED = 1 << 16  # entries of X that come from a cache; beyond, K must be much smaller to pay


def gram(problem: Problem, pieces: Pieces, params: Params, buffers: Buffers,
         wanted: bool | None) -> Gram | None:
    """The run in Gram space if it is wanted (None: if it pays), or None; ValueError where it is
    wanted and cannot be.
    """
    N, d = problem.X.shape
    if wanted is False:
        return None
    why = _obstacle(problem)
    pays = LEAST <= d >= N <= SAMPLES and (problem.X.size <= CACHED or d >= 2 * N)
    # K costs N² d once: not before it is known that nothing stands in the way
    if why is None and wanted is None and not pays:
        return None
    if why is None:
        K, back, condition = _matrix(problem)
        if condition <= CONDITION:
            return Gram(problem, pieces, params, buffers, K, back)
        why = "the data, whose Gram matrix must have a condition number of 1e6 at most"
    if wanted:
        raise ValueError(f"gram must be None or False for {why}")
    return None


def _obstacle(problem: Problem) -> str | None:
    """What keeps the method from going through the span of the data, or None."""
    method = problem.method
    if problem.sparse:
        return "sparse data"
    if problem.outputs > 1:
        return f"the {problem.loss.name} loss" if not problem.columns \
            else f"y of {problem.outputs} columns"
    if not problem.model.linear:
        return f"the {problem.model.name} model"
    if method.sampling.batch:
        return f"{method!r} in batches"
    if method.within is not None:
        return f"{method!r}, whose projection leaves the span of the data"
    if not method.bare:
        return f"{method!r}, which is handed, or keeps, more than the gradient"
    # what adds to −∇L, or takes its length away, leads out of the span or needs ‖w‖
    bare = not method.decay and not method.unscaled and method.constraint is None
    inner = quadratic(problem) and bare
    return None if inner and method.memoryless and method.as_made else f"{method!r}"


def _matrix(problem: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """K, the rows D⁻¹x_n, and the condition number; the last few are kept: the plans of a sweep
    have one between them.
    """
    g = problem.method.geometry
    plain = g is None or getattr(g, "matrix", None) is np.eye
    own = getattr(g, "params", np.empty(0)).tobytes()
    about = b"" if plain else repr((id(g), g)).encode() + own
    X = handed(problem.X)
    digest = blake2b(X.data)
    digest.update(repr(X.shape).encode() + about)
    key = digest.digest()
    found = _RECENT.get(key)
    if found is None:
        back = _back(problem)
        K = _products(X, back)
        found = K, back, _condition(K), g  # (g is kept alive, or its id might come again)
        _RECENT[key] = found
        for old in list(_RECENT)[:-4]:
            _RECENT.pop(old, None)                        # (another thread may have)
    return found[:3]


_RECENT: dict[bytes, tuple[np.ndarray, np.ndarray, float, Any]] = {}


def _back(problem: Problem) -> np.ndarray:
    """The rows D⁻¹x_n (N, d)."""
    g = problem.method.geometry
    if g is None or getattr(g, "matrix", None) is np.eye:
        return handed(problem.X)
    back = np.empty(problem.X.shape)                      # by the geometry's own map, which knows D
    for x, row in zip(handed(problem.X), back, strict=True):
        if isinstance(g, Norm):
            row[:] = g.direction(x)
        elif isinstance(g, Potential):
            row[:] = g.solve(np.zeros(problem.size), x)
    return back


def _products(X: np.ndarray, back: np.ndarray) -> np.ndarray:
    """X backᵀ (N, N), made symmetric; by our own pass, whose bits are those of one thread on any
    machine.
    """
    K = np.empty((len(X), len(X)))
    _multiply(X, back, aligned(packed_room(*X.shape, False)), np.zeros(CONTROL, np.int64), K)
    return K


def _condition(K: np.ndarray) -> float:
    """The condition number of K in ℓ1: an upper bound on that in ℓ2, up to √N."""
    try:
        with np.errstate(all="ignore"):
            return float(np.abs(K).sum(0).max() * np.abs(np.linalg.inv(K)).sum(0).max())
    except np.linalg.LinAlgError:
        return np.inf


@kernel
def _multiply(X, back, packed, control, K):
    """K ← X backᵀ, made symmetric."""
    N, d = X.shape
    w, p = np.zeros(padded(d)), np.zeros(padded(N))
    data = Data(N, d, 1, 1, False, packed, p, NONE, 0, 1, p, control[:0])
    pack(X, p[:0], data, 0, False)
    for n in range(N):
        for j in range(d):
            w[j] = back[n, j]
        products(data, w, p, control)
        for i in range(N):
            K[n, i] = p[i]
    for n in range(N):
        for i in range(n):
            K[n, i] = K[i, n] = 0.5 * (K[n, i] + K[i, n])


@kernel
def _solve(X, K, w, alpha):
    """alpha ← K⁻¹ X w by Cholesky's factors, in one thread and in this order; K is lost."""
    N = K.shape[0]
    for i in range(N):                                    # the factor, and down with it
        for j in range(i + 1):
            for k in range(j):
                K[i, j] -= K[i, k] * K[j, k]
            K[i, j] = np.sqrt(K[i, i]) if i == j else K[i, j] / K[j, j]
        alpha[i] = 0.0
        for j in range(w.size):
            alpha[i] += X[i, j] * w[j]
        for k in range(i):
            alpha[i] -= K[i, k] * alpha[k]
        alpha[i] /= K[i, i]
    for i in range(N - 1, -1, -1):                        # and up
        for k in range(i + 1, N):
            alpha[i] -= K[k, i] * alpha[k]
        alpha[i] /= K[i, i]


@kernel
def _combine(rest, back, alpha, w):
    """w ← rest + Σ_n α_n back_n, row after row: the bits of a row do not depend on how many are
    asked for.
    """
    for k in range(alpha.shape[0]):
        for j in range(w.shape[1]):
            w[k, j] = rest[j]
        for n in range(alpha.shape[1]):
            for j in range(w.shape[1]):
                w[k, j] += alpha[k, n] * back[n, j]


if not JIT:  # NumPy would warn where compiled numbers just overflow
    _combine = np.errstate(all="ignore")(_combine)


def _scratch(shown: Buffers, size: int) -> np.ndarray:
    """Room for the loop on α: that of the loop on the parameters, which does not run meanwhile."""
    return shown.work[:size] if shown.work.size >= size else aligned(size)


class Gram(Driver):
    """A run whose loop works on the coefficients α; after every chunk the plan's own buffers show
    where that is.
    """

    def __init__(self, problem: Problem, pieces: Pieces, params: Params, shown: Buffers,
                 K: np.ndarray, back: np.ndarray) -> None:
        N, about = K.shape[0], np.zeros(CONTROL, np.int64)
        own, maps = PLAIN.maps
        for entry in (WATCH, LINEAR, LOSS, SEARCH, OUTPUTS, WEIGH):
            about[entry] = shown.control[entry]
        about[GRAM] = 1
        if problem.rule.fixed and params.beta.size == params.gamma.size == 1:
            about[BURST] = GRADIENT                       # whatever the method is: α moves along q
        buffers = Buffers(u=np.zeros(N), state=np.zeros((1, N)), mark=np.zeros((2, N)),
                          control=about, order=np.empty(0, np.int64),
                          work=_scratch(shown, room(N, N, N, about)),
                          packed=layout(K, problem, about), kept=np.empty(0))
        pieces = pieces._replace(
            direction=PLAIN.direction.address, advance=PLAIN.advance.address,
            **{name: piece.address for name, piece in zip(Pieces._fields[8:13], maps, strict=True)})
        params = params._replace(method=PLAIN.params, geometry=own)
        super().__init__(pieces, params, K, problem.y, buffers)
        self.problem, self.shown, self.back = problem, shown, back
        self.rest = np.zeros(problem.size)
        if shown.u.any():                                 # w⊥ is what the coefficients cannot reach
            _solve(handed(problem.X), K.copy(), shown.u, buffers.u)
            self.rest[:] = shown.u - self._at(buffers.u[None])[0]
        self._last = self._seen()

    @property
    def current(self) -> bool:
        """Whether the plan's buffers hold what was shown last, and nobody has written to them."""
        return self._seen() == self._last

    def chunks(self, records: Records, stop: int, log_target: float, bar: Any) -> Iterator[Status]:
        """As `Driver.chunks`, with the rows and the plan's buffers filled after each."""
        self._rows = records.u
        inner = Records(records.steps, np.empty((records.steps.size, self.X.shape[0])),
                        records.log_loss)
        self.buffers.control[ROW] = self.shown.control[ROW]
        yield from super().chunks(inner, stop, log_target, bar)

    def chunk(self, records: Records, stop: int, log_target: float) -> int:
        """As `Driver.chunk`; where coefficients are finite and parameters are not, half as many
        updates are tried.
        """
        before = memory.snapshot(self.buffers)
        begun, row = self.t, int(self.buffers.control[ROW])
        while True:
            try:
                answer = super().chunk(records, stop, log_target)
            except BaseException:  # interrupted: what it did is finite, or is not done
                if not self._show(records.u, row):
                    self._back(before)
                raise
            if self._show(records.u, row):
                return answer
            done = self.t - begun
            self._back(before)
            if done <= 1:
                return int(Status.NOT_FINITE)
            stop = begun + done // 2

    def copy(self, buffers: Buffers) -> Gram:
        """The same run, going its own way from here, shown in other buffers."""
        other = Gram(self.problem, self.pieces, self.params, buffers, self.X, self.back)
        if saved := self.snapshot():
            other.restore(saved)
        else:
            other._last = ~other._last                    # of no use, as this one
        return other

    def snapshot(self) -> dict[str, np.ndarray]:
        """What a checkpoint must hold for going on bit for bit: nothing where somebody has written
        to the plan's buffers.
        """
        if not self.current:
            return {}
        return memory.snapshot(self.buffers, "gram_") | {"gram_rest": self.rest.copy()}

    def restore(self, saved: dict[str, np.ndarray]) -> None:
        """Go on from what `snapshot` gave; ValueError where that is no place to go on from."""
        memory.restore(self.buffers, saved, "gram_")
        files.expect({"gram_rest": saved["gram_rest"]}, {"gram_rest": ("f8", self.rest.shape)})
        self.rest[:] = saved["gram_rest"]
        if not self._show(np.empty((0, self.X.shape[0])), 0):
            raise ValueError("gram_u must make parameters that are finite")

    def _back(self, before: dict[str, np.ndarray]) -> None:
        """Be where the buffers stood."""
        for name, saved in before.items():
            getattr(self.buffers, name)[...] = saved

    def _at(self, alpha: np.ndarray, rest: np.ndarray | None = None) -> np.ndarray:
        """The parameters (K, d) of coefficients (K, N)."""
        w = np.empty((len(alpha), self.rest.size))
        _combine(self.rest if rest is None else rest, self.back, alpha, w)
        return w

    def _seen(self) -> int:
        # (a hash: many plans are kept, and few are written to)
        u, state, control = self.shown.u, self.shown.state, self.shown.control
        return hash(u.tobytes() + state.tobytes() + control[DONE].tobytes())

    def _show(self, alpha: np.ndarray, row: int) -> bool:
        """Fill the rows of the record from ``row`` on, and the plan's own buffers, if all is
        finite.
        """
        end, shown, psi = int(self.buffers.control[ROW]), self.shown, self.problem.method.geometry
        rows, u = self._at(alpha[row:end]), self._at(self.buffers.u[None])[0]
        if not (np.isfinite(rows).all() and np.isfinite(u).all()):
            return False
        if end > row:
            self._rows[row:end] = rows
        shown.u[:] = u
        shown.state[0] = self._at(self.buffers.state, np.zeros_like(self.rest))[0]
        # z, and Δz, of a link that is linear
        if isinstance(psi, Potential) and self.problem.method.dual:
            shown.state[1] = psi.to_dual(shown.u)
            if len(shown.state) > 2 and self.params.beta.any():
                shown.state[2] = psi.to_dual(shown.state[0])
        shown.control[DONE], shown.control[ROW] = self.buffers.control[DONE], end
        self._last = self._seen()
        return True
