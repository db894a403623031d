"""From which starts gradient flow on a model of degree 2 comes to the maximum margin: proved,
disproved, or left open.

Where F is a quadratic form, ⟨F(u), z⟩ = ½uᵀS(z)u, the flow on exponential losses is
du/dτ = S(Zᵀq) u, with q the softmax weights of the samples and dτ = L dt: a linear equation with
matrices in the span of the S(z_n). Write ν for the maximum margin a unit of ‖u‖². By weak duality
λ_max(S(Zᵀλ)) ≥ 2ν for all weights λ, and log‖u‖² grows by 4⟨q, margins⟩/‖u‖², which is at most 4ν
at last.

- u never leaves the smallest space 𝒱 that holds the start and is invariant under each S(z_n). Where
  the best margin over 𝒱, relaxed to W ⪰ 0 of trace one on 𝒱, is under ν, the maximum is out of
  reach of the flow. What is orthogonal to 𝒱 then grows the faster: a run comes free as soon as
  rounding breaks the symmetry. It never does where entries of u are exactly 0: a sum of products
  with 0 is 0.
- Otherwise, where gradients converge in direction, S(Zᵀq) has a limit on 𝒱, of largest eigenvalue
  σ ≥ 2ν, and the solutions p of dp/dτ = −S p that fall like e^{−στ} form a space P that each C
  which commutes with all S(z_n) maps into itself. ⟨p, u⟩ is kept, so one with ⟨p, u(0)⟩ ≠ 0 makes
  u grow at the rate σ, and then its margin tends to ν. Else all of P is orthogonal to u(0), and so
  to each C u(0). Hence nothing stands in the way where the C u(0) span 𝒱 (a start of full rank);
  nor where some symmetric J with J S(z_n) = −S(z_n) J (a balance, which the flow keeps) is definite
  on the complement of their span: pᵀJp is kept, too, and falls to 0.
- What is left, starts of low rank that balance exactly, is open.
"""
from __future__ import annotations

import numpy as np

from fastbias.problem import Problem
from fastbias.solvers import semidefinite
from fastbias.solvers.limit import Limit

__all__ = ["reaches"]

# parameters, and entries of all S(z_n), beyond which it is left open
WIDEST, LARGEST = 160, 4_000_000
DEEP = 40                              # dimensions of 𝒱 up to which its semidefinite program runs
PRIME = 2 ** 521 - 1                   # the modulus in which ranks are told without rounding
OPEN = "open: seen only in a run"
STAYS = "a flow stays away"
PROVED = "proved for gradients that converge in direction (slowly where the start is lopsided): "


class _TooNearError(ArithmeticError):
    """Float64 cannot tell whether a number is 0."""


def reaches(problem: Problem, found: Limit, flow: bool) -> tuple[bool | None, str]:
    """Whether flow or run comes to the maximum margin, and why; None where neither is proved.

    True supposes what the theorem does: that the loss goes to 0, and gradients converge in
    direction.
    """
    model = problem.model
    S = _forms(problem)
    if S is None or model.penalty is None or model.invariant is None:
        # (that almost no start is kept away is proved of quadratic forms: u∘|u| keeps its signs)
        return None, OPEN
    try:
        unit = model.penalty(found.w.ravel()) / found.norm(found.w.ravel())  # type: ignore[misc]
        return _decided(S, problem.start, found.margin / unit, flow)
    except ArithmeticError as error:
        return None, f"{OPEN} ({error})"


def _decided(S: np.ndarray, start: np.ndarray, best: float, flow: bool) -> tuple[bool | None, str]:
    V = _invariant(S, start)
    d, k = V.shape
    inner = V.T @ S @ V
    inside, told = _within(V, S, best)
    if inside is None:
        return None, f"{OPEN}; {told}"
    if not inside:
        if not _exactly(S, start, k):
            return None, f"{OPEN}; but for rounding, {told}"
        zeros = (False, told) if flow else _within(np.eye(d)[:, _touched(S, start)], S, best)
        return zeros if zeros[0] is False else (
            None, f"{OPEN}; {STAYS}: {told}, a run until rounding breaks that symmetry")
    u = V.T @ start
    rest = _complement(_commuting(inner, 1.0) @ (u / np.linalg.norm(u)))
    if rest.shape[1] == 0:
        return True, (f"{PROVED}what commutes with the samples takes the start everywhere that it "
                      "can go")
    balance = _commuting(inner, -1.0)
    form = np.tensordot(np.tensordot(balance, rest @ rest.T, 2), balance, 1) \
        if len(balance) else np.zeros((k, k))
    values = np.linalg.eigvalsh(rest.T @ (form + form.T) @ rest)
    if values[0] > 1e-7 * max(float(np.abs(np.linalg.eigvalsh(form)).max()), 1e-300):
        return True, f"{PROVED}the factors of the start do not balance"
    return None, (f"{OPEN}; almost no start is kept away, but neither rank nor balance of this one "
                  "proves it")


def _within(V: np.ndarray, S: np.ndarray, best: float) -> tuple[bool | None, str]:
    """Whether the best margin, relaxed to W ⪰ 0, is one of a space, and what is.

    The space is that of the orthonormal columns V (d, k).
    """
    d, k = V.shape
    if k == d:
        return True, ""
    within = (f"from this start u stays in {k} of {d} dimensions, "
              "which each sample maps to themselves")
    if k > DEEP:
        return None, within
    rows = (V.T @ S @ V / 2).reshape(len(S), -1)
    told = semidefinite.separate(rows, k)
    if told.w is None:
        return False, f"{within}, and in which nothing separates the data"
    top = semidefinite.widest(rows, k, told.w)
    upper = top.margin / (1.0 - top.duality_gap) if top.duality_gap < 1.0 else np.inf
    if upper < (1.0 - 1e-6) * best:
        share = f"{upper / best:.6g} of the maximum"
        return False, f"{within}, and in which margins are at most {share}"
    return True if top.margin >= (1.0 - 1e-6) * best else None, within


def _touched(S: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Which entries of u are not 0, or do not stay exactly 0 when samples act on it."""
    linked, seen = (S != 0).any(axis=0), u != 0
    for _ in u:
        seen = seen | linked[:, seen].any(axis=1)
    return np.asarray(seen)


def _exactly(S: np.ndarray, u: np.ndarray, k: int) -> bool:
    """Whether the smallest space that holds u and is invariant under S has k dimensions, unrounded.

    Ranks are told modulo a prime: too low only if it divides a determinant of the data.
    """
    forms = [[_sparse(row) for row in form] for form in S]
    basis: list[tuple[int, list[int]]] = []
    fresh = [[_whole(x) for x in u]]
    while fresh:
        found = _reduced(fresh.pop(), basis)
        if found is None:
            continue
        if len(basis) == k:
            return False
        basis.append(found)
        fresh += [_moved(found[1], form) for form in forms]
    return True


def _whole(x: float) -> int:
    """A number of float64, exactly, modulo the prime."""
    over, under = float(x).as_integer_ratio()
    return over * pow(under, -1, PRIME) % PRIME


def _sparse(row: np.ndarray) -> list[tuple[int, int]]:
    """Where a row is not 0, and what it is there."""
    return [(int(j), _whole(row[j])) for j in np.flatnonzero(row)]


def _moved(v: list[int], form: list[list[tuple[int, int]]]) -> list[int]:
    """S v."""
    return [sum(c * v[j] for j, c in row) % PRIME for row in form]


def _reduced(v: list[int], basis: list[tuple[int, list[int]]]) -> tuple[int, list[int]] | None:
    """What is left of v beside a basis, with where it begins, where it is 1; None where all of it
    is in their span.
    """
    for at, row in basis:
        if c := v[at]:
            v = [(a - c * b) % PRIME for a, b in zip(v, row, strict=True)]
    lead = next((i for i, x in enumerate(v) if x), None)
    if lead is None:
        return None
    unit = pow(v[lead], -1, PRIME)
    return lead, [x * unit % PRIME for x in v]


def _forms(problem: Problem) -> np.ndarray | None:
    """S(z) (M, n, n) for each row z, brought to size one; None where F is no quadratic form, or too
    large.
    """
    Z, u, model = problem.Z, problem.start, problem.model
    if model.degree != 2 or u.size > WIDEST or len(Z) * u.size ** 2 > LARGEST:
        return None
    S = np.stack([model.pulls(e, Z) for e in np.eye(u.size)], axis=2)
    other = np.random.default_rng(0).normal(size=u.size) * np.abs(u).max()
    for at in (u, other, -other):
        off = np.abs(model.pulls(at, Z) - S @ at).max()
        if not off <= 1e-12 * np.abs(S).max() * np.abs(at).sum():
            return None
    skew = np.abs(S - S.transpose(0, 2, 1)).max(initial=0.0)
    return S if skew <= 1e-12 * np.abs(S).max() else None


def _sizes(S: np.ndarray) -> np.ndarray:
    """The matrices brought to size one, for what asks of their span alone."""
    lengths = np.linalg.norm(S, axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(S, lengths, out=np.zeros_like(S), where=lengths > 0))


def _invariant(S: np.ndarray, u: np.ndarray) -> np.ndarray:
    """An orthonormal basis (n, k) of the smallest space that holds u and is invariant under the
    matrices S.
    """
    S, fresh = _sizes(S), (u / np.linalg.norm(u))[:, None]
    V = fresh
    while fresh.size and V.shape[1] < len(u):
        moved = np.concatenate(list(S @ fresh), axis=1)
        for _ in range(2):
            moved = moved - V @ (V.T @ moved)
        fresh = _range(moved)
        V = np.linalg.qr(np.hstack([V, fresh]))[0]
    return np.asarray(V)


def _range(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the range of A, whose entries are of size one or rounding."""
    U, sizes, _ = np.linalg.svd(A, full_matrices=False)
    if ((sizes > 1e-13) & (sizes < 1e-9)).any():
        raise _TooNearError("the start is too near to one that is kept away")
    return np.asarray(U[:, sizes >= 1e-9])


def _complement(K: np.ndarray) -> np.ndarray:
    """An orthonormal basis (k, ·) of what is orthogonal to the rows of K."""
    _, sizes, W = np.linalg.svd(K)
    sizes = np.append(sizes, np.zeros(len(W) - len(sizes)))
    if ((sizes > 1e-12 * sizes[0]) & (sizes < 1e-7 * sizes[0])).any():
        raise _TooNearError("the start is too near to one that balances")
    return np.asarray(W[sizes < 1e-7 * sizes[0]].T)


def _commuting(S: np.ndarray, sign: float) -> np.ndarray:
    """A basis (c, k, k), orthonormal, of the C with C S_n = ± S_n C for all n.

    C maps each eigenspace of a combination of them to that of ± its value, which leaves few entries
    to solve for.
    """
    S = _sizes(S)
    mix = np.tensordot(np.random.default_rng(1).normal(size=len(S)), S, 1)
    values, Q = np.linalg.eigh((mix + mix.T) / 2)
    T = Q.T @ S @ Q
    apart = np.abs(values[:, None] - sign * values) / max(float(np.abs(values).max()), 1e-300)
    if ((apart > 1e-11) & (apart < 1e-7)).any():
        raise _TooNearError("eigenvalues are too near to each other")
    i, j = np.nonzero(apart <= 1e-7)
    if i.size > 1500:
        raise _TooNearError("too many eigenvalues are equal")
    squares = (T @ T).sum(axis=0)
    gram = np.where(i[:, None] == i, squares[j[:, None], j], 0.0) \
        + np.where(j[:, None] == j, squares[i[:, None], i], 0.0)
    for t in T:
        gram -= 2.0 * sign * t[i[:, None], i] * t[j[:, None], j]
    sizes, E = np.linalg.eigh(gram) if i.size else (np.empty(0), np.empty((0, 0)))
    largest = 2.0 * float(np.diag(squares).max())
    if ((sizes > 1e-13 * largest) & (sizes < 1e-9 * largest)).any():
        raise _TooNearError("samples are too near to ones that commute")
    kept = E[:, sizes <= 1e-9 * largest].T
    C = np.zeros((len(kept), *T.shape[1:]))
    C[:, i, j] = kept
    return np.asarray(Q @ C @ Q.T)
