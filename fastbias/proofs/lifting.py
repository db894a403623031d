"""Linear equations in whole numbers, solved exactly: digit by digit to a prime base (Dixon 1982).

With C = A⁻¹ mod p the next digit of A⁻¹r is x = C r mod p, and (r − Ax)/p is the next r, no longer
than the first. From enough digits a fraction is read off by Euclid's algorithm (Wang 1981).
Products are of floats, without rounding: A is cut into pieces so small that every sum fits.
"""
from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import gcd, isqrt, log2
from types import ModuleType

import numpy as np

from fastbias.checks import foreign

__all__ = ["PRIMES", "independent", "modular", "solve"]

PRIMES = 1048573, 1048571, 1048559     # under 2^20
CUT = 20                               # bits of a piece of A
LARGEST = 250                          # equations: some seconds; sums of products under 2^53
FEWEST, GROWTH = 4, 1.5                # digits at first beyond those expected, and how many more


def modular(A: np.ndarray, p: int = PRIMES[0]) -> np.ndarray:
    """Whole numbers (object) mod p, as int64."""
    return np.asarray(A % p, np.int64)


def independent(A: np.ndarray, order: Iterable[int], p: int = PRIMES[0]) -> list[int]:
    """Which rows of A (n, d) int64 mod p do not depend on those before them, in this order."""
    A, kept = A.copy(), []
    for i in order:
        # (what earlier rows had in their pivots' columns was taken away)
        nonzero = np.flatnonzero(A[i])
        if nonzero.size:
            j = nonzero[0]
            pivot = A[i] * pow(int(A[i, j]), -1, p) % p
            used = np.flatnonzero(A[:, j])
            A[used] = (A[used] - A[used, j, None] * pivot) % p
            kept.append(i)
        if len(kept) == A.shape[1]:
            break
    return kept


def _inverse(A: np.ndarray, p: int) -> np.ndarray | None:
    """A⁻¹ mod p, by Gauss and Jordan; None where there is none."""
    n = len(A)
    T = np.hstack([modular(A, p), np.eye(n, dtype=np.int64)])
    for k in range(n):
        # any number but 0 is a pivot: nothing is rounded
        rows = k + np.flatnonzero(T[k:, k])
        if not rows.size:
            return None
        T[[k, rows[0]]] = T[[rows[0], k]]
        T[k] = T[k] * pow(int(T[k, k]), -1, p) % p
        factors = T[:, k].copy()
        factors[k] = 0
        T = (T - factors[:, None] * T[k]) % p
    return T[:, n:]


def _pieces(A: np.ndarray) -> tuple[np.ndarray, int]:
    """A = Σ_l 2^(20 l) A_l, as (pieces n, n) floats of at most 20 bits, and how many there are."""
    bits = max(int(abs(v)).bit_length() for v in A.ravel().tolist())
    count = bits // CUT + 1
    parts, rest = [], A
    # (the last one has the sign)
    for _ in range(count - 1):
        parts.append(np.asarray(rest & ((1 << CUT) - 1), float))
        rest = rest >> CUT
    return np.vstack([*parts, np.asarray(rest, float)]), count


def _expected(A: np.ndarray, b: np.ndarray, p: int) -> int:
    """How many digits Cramer's rule and floats say that are enough."""
    # rows of size one, whose determinant and solution floats can hold
    tops = [max(int(abs(v)).bit_length() for v in [*row, right])
            for row, right in zip(A.tolist(), b.tolist(), strict=True)]
    even = np.array([[v / (1 << top) for v in row] for row, top in zip(A.tolist(), tops,
                                                                        strict=True)])
    logdet = float(np.linalg.slogdet(even)[1]) / log2(np.e) ** -1 + sum(tops)
    right = np.array([v / (1 << top) for v, top in zip(b.tolist(), tops, strict=True)])
    with np.errstate(all="ignore"):
        size = float(np.abs(np.linalg.lstsq(even, right, rcond=None)[0]).max(initial=0.0))
    bits = 2 * max(logdet, 1.0) + abs(log2(size)) if 0 < size < np.inf else 2 * max(logdet, 1.0)
    return int(bits / log2(p)) + FEWEST if np.isfinite(bits) else FEWEST


def solve(A: np.ndarray, b: np.ndarray) -> tuple[list[int], int] | None:
    """The x with A x = b for whole numbers (object) A (n, n), b (n,), as whole numbers over one
    number; None where A is singular, or seems so to three primes. LookupError where n is too large.
    """
    if len(A) > LARGEST:
        raise LookupError(f"X must be such that at most {LARGEST} equations decide for an exact "
                          f"proof, got {len(A)}")
    n, inverse, p = len(A), None, 0
    flint = _flint()
    if flint is not None:
        return _by_flint(flint, A, b)
    for p in PRIMES:
        inverse = _inverse(A, p)
        if inverse is not None:
            break
    if inverse is None:
        return None
    # (digits between −p/2 and p/2: products of 19 and 20 bits)
    C = np.asarray(np.where(inverse > p // 2, inverse - p, inverse), float)
    pieces, count = _pieces(A)
    units = [1 << CUT * k for k in range(count)]
    r, digits, wanted = b, np.empty((0, n), np.int64), _expected(A, b, p)
    while True:
        more = np.empty((wanted - len(digits), n), np.int64)
        for row in more:
            digit = (C @ np.asarray(r % p, float)) % p
            row[:] = digit
            products = np.asarray(pieces @ digit, np.int64).astype(object).reshape(count, n)
            r = (r - sum(part * unit for part, unit in zip(products, units, strict=True))) // p
        digits = np.concatenate([digits, more])
        # a guess that fits all digits so far, which the equations confirm
        x = _fractions(_number(digits, p), p ** wanted)
        if x is not None and (A @ np.array(x[0], object) == b * x[1]).all():
            return x
        wanted = int(GROWTH * wanted) + 1


@cache
def _flint() -> ModuleType | None:
    """python-flint, where it is installed (the extra ``[exact]``): some five times as quick."""
    try:
        found = foreign.library("flint")
    except ImportError:
        return None
    # (a folder of that name is a package, too)
    return found if hasattr(found, "fmpz_mat") else None


def _by_flint(flint: ModuleType, A: np.ndarray, b: np.ndarray) -> tuple[list[int], int] | None:
    """The same."""
    try:
        x = flint.fmpz_mat(A.tolist()).solve(flint.fmpz_mat(len(b), 1, b.tolist()))
    except ZeroDivisionError:
        return None
    top, low = x.numer_denom()
    return [int(v) for v in top.entries()], int(low)


def _number(digits: np.ndarray, p: int) -> list[int]:
    """Σ_k digits[k] p^k (n,): of neighbours first, so that numbers are short as long as can be."""
    parts, base = digits.astype(object), p
    while len(parts) > 1:
        if len(parts) % 2:
            parts = np.vstack([parts, parts[:1] * 0])
        parts, base = parts[::2] + parts[1::2] * base, base * base
    return list(parts[0].tolist())


def _fractions(x: list[int], m: int) -> tuple[list[int], int] | None:
    """Whole numbers over one number that are x mod m; None where none are small."""
    low, most = 1, isqrt(m // 2)
    found: list[int] = []
    for v in x:
        top = v * low % m
        top = top - m if top > m // 2 else top
        if abs(top) > most:
            # (Euclid's algorithm, to half the length)
            (a, s), (c, t) = (m, 0), (v * low % m, 1)
            while c > most:
                q = a // c
                (a, s), (c, t) = (c, t), (a - q * c, s - q * t)
            if abs(t) * low > most or gcd(c, t) != 1:
                return None
            found, low, top = [u * abs(t) for u in found], low * abs(t), c if t > 0 else -c
        found.append(top)
    return found, low
