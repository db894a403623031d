"""Random problems that have proofs, exact ones and enclosed ones: floats and integers, duplicates, ties, weights of 0, up to 300 × 60; a naive
twin of the checker, in fractions; and documents that were altered.
"""
import copy
from fractions import Fraction

import mpmath
import numpy as np

import fastbias as fb

FLAVOURS = ("floats", "integers", "duplicates", "ties", "few", "columns")
KINDS = ("margin l1", "margin l2", "margin linf", "margin D", "margin diagonal", "norm l1", "norm l2", "norm linf",
         "projection", "projection D", "separability", "separation")
ENCLOSED = ("margin lp", "norm lp", "projection entropy", "projection hypentropy", "projection cosh", "projection power",
            "margin spectral", "margin nuclear", "margin psd", "norm spectral", "norm nuclear")


def data(rng, N, d, flavour):
    """X (N, d) of a flavour."""
    X = rng.normal(size=(N, d))
    if flavour == "integers":
        X = rng.integers(-4, 5, size=(N, d)).astype(float)
    if flavour == "few":                                    # signs alone: ties everywhere, weights of 0
        X = rng.choice([-1.0, 1.0], size=(N, d))
    if flavour == "duplicates":
        X = X[rng.integers(0, max(1, N // 2), size=N)]
    if flavour == "ties":                                   # columns and rows that mirror each other
        X = np.round(X * 4) / 4
        X[:, d // 2:] = X[:, :d - d // 2]
    if flavour == "columns":
        X = X * 10.0 ** rng.uniform(-2, 2, size=d)
    return X


def matrix(rng, d, flavour):
    """D (d, d), symmetric and positive definite."""
    A = rng.integers(-2, 3, size=(d, d)) if flavour == "integers" else rng.normal(size=(d, d))
    D = A @ A.T + np.eye(d)
    return (D + D.T) / 2


MATRICES = "spectral", "nuclear", "psd"
SMOOTH = {"entropy": lambda rng: fb.potentials.entropy, "cosh": lambda rng: fb.potentials.cosh,
          "hypentropy": lambda rng: fb.potentials.hypentropy(10.0 ** rng.uniform(-3, 1)),
          "power": lambda rng: fb.potentials.power(exponent(rng))}


def exponent(rng):
    """A p of ℓp, short and long ones."""
    return float(rng.choice([1.25, 4 / 3, 1.5, 1.9, 2.5, 3, 5, rng.uniform(1.1, 8)]))


def smooth(rng, X, name):
    """A function that asks for a projection on what some w > 0 meets, from a start of its own or the default."""
    psi, w = SMOOTH[name](rng), np.exp(rng.normal(size=X.shape[1]))
    y = X @ np.round(w * 8) / 8
    own = rng.random() < 0.5 and name in ("entropy", "hypentropy")
    w0 = np.exp(rng.normal(size=w.size)) * (1 if name == "entropy" else rng.choice([-1, 1], size=w.size)) if own else None
    return lambda: fb.bregman_projection(X, y, psi, w0)


def problem(seed, most=(300, 60), kinds=KINDS):
    """What is asked, in words, and a function that asks it."""
    rng = np.random.default_rng(seed)
    kind, flavour = kinds[seed % len(kinds)], FLAVOURS[int(rng.integers(len(FLAVOURS)))]
    N, d = (int(np.exp(rng.uniform(np.log(2), np.log(k)))) for k in most)
    what, _, norm = kind.partition(" ")
    free = bool(rng.random() < 0.4)
    if what in ("norm", "projection"):
        N, d = min(N, d), max(N, d)
        d = d if d > N else d + 1
        if norm == "D":
            d, N = min(d, 80), min(N, 60, min(d, 80) - 1)
    m = n = max(1, int(np.sqrt(d)))
    if norm in MATRICES:                                    # (m, n), square on the cone
        n = m if norm == "psd" else m + int(rng.integers(3))
        d, N = m * n, max(1, min(N, m * n - 1)) if what == "norm" else N
    X = data(rng, N, d, flavour)
    sparse = 0.3 if norm not in MATRICES else 1.0
    w = rng.integers(-3, 4, size=d) * (rng.random(d) < sparse) * 1.0 if flavour != "floats" else rng.normal(size=d)
    named = f"{seed}: {kind} {flavour} {N} x {d}{' b' if free else ''}"
    if what == "norm":
        y = X @ w if flavour in ("integers", "few", "ties") else rng.normal(size=N)
        if flavour == "duplicates":
            y = X @ np.round(w)
            X, y = np.unique(X, axis=0), None
            y = rng.normal(size=len(X))
        of = fb.norms.lp(exponent(rng)) if norm == "lp" else getattr(fb.norms, norm)(m, n) if norm in MATRICES else norm
        return named, lambda: fb.minimum_norm(X, y, of, intercept=free)
    if what == "projection":
        X = np.unique(X, axis=0) if flavour == "duplicates" else X
        if norm in SMOOTH:
            return named, smooth(rng, X, norm)
        y = X @ w if flavour in ("integers", "few", "ties") else rng.normal(size=len(X))
        psi = fb.potentials.quadratic(matrix(rng, d, flavour)) if norm else fb.potentials.euclidean
        w0 = rng.integers(-2, 3, size=d) * 1.0
        return named, lambda: fb.bregman_projection(X, y, psi, w0)
    if norm == "psd":                                       # what some W ⪰ 0 separates
        X = np.swapaxes(X.reshape(N, m, m), 1, 2) + X.reshape(N, m, m)
        W = np.cov(rng.normal(size=(m, m + 1)))
        return named, lambda: fb.psd_margin(X, np.where((X * W).sum(axis=(1, 2)) >= 0, 1.0, -1.0))
    score = X @ rng.normal(size=d) + free * 0.3
    y = np.where(score >= np.median(score) * free, 1.0, -1.0)
    if what in ("separability", "separation") and rng.random() < 0.6:
        flip = rng.random(N) < (0.02 if rng.random() < 0.5 else 0.5)
        y = np.where(flip, -y, y)
    if flavour == "duplicates":                             # copies have one label
        _, first = np.unique(X, axis=0, return_inverse=True)
        y = y[np.unique(first, return_index=True)[1]][first]
    free = free and len(set(y.tolist())) > 1
    if what == "separability":
        return named, lambda: fb.separability(X, y, intercept=free)
    if what == "separation":
        return named, lambda: fb.separation(X, y, intercept=free)
    of = {"D": lambda: fb.norms.quadratic(matrix(rng, d, flavour)), "spectral": lambda: fb.norms.spectral(m, n),
          "nuclear": lambda: fb.norms.nuclear(m, n),
          "diagonal": lambda: fb.norms.quadratic(rng.uniform(0.5, 2, d)), "lp": lambda: fb.norms.lp(exponent(rng))}.get(norm, lambda: norm)()
    return named, lambda: fb.max_margin(X, y, of, intercept=free)


def holds(document):
    """Whether a document that is well formed proves its claim: fractions and definitions, nothing clever."""
    def dot(a, b):
        return sum((u * v for u, v in zip(a, b, strict=True)), Fraction())

    def vector(key):
        return [Fraction(v) for v in document[key]]
    Z, w, lam = [[Fraction(v) for v in row] for row in document["rows"]], vector("primal"), vector("dual")
    d = len(Z[0]) - int(document["free"])
    pull = [dot(lam, column) for column in zip(*Z, strict=True)] if lam else []
    margins = [dot(z, w) for z in Z] if w else []
    weighted = lam and min(lam) >= 0 and sum(lam) == 1
    claim, norm = document["claim"], document.get("norm")
    if claim == "separable":
        return min(margins) > 0
    if claim == "inseparable":
        return bool(weighted) and not any(pull)
    if claim == "separation":
        strict = document["strict"]
        return (all(m > 0 if s else m == 0 for m, s in zip(margins, strict, strict=True)) and not any(pull)
                and all(v == 0 if s else v > 0 for v, s in zip(lam, strict, strict=True))
                and (all(strict) or bool(weighted)))
    value, g = Fraction(document["value"]), pull[:d]
    if any(pull[d:]):
        return False
    if norm in MATRICES:
        margin, m = claim == "maximum margin", len(document["matrix"][0])
        met = min(margins) >= 1 and weighted if margin else margins == vector("goal")
        with mpmath.workprec(700):
            size, dual, told = singular(norm, w[:d], m), singular(norm, g, m, dual=True), mpmath.mpf(value.numerator) / value.denominator
            reached = dot(lam, vector("goal")) if not margin else Fraction(1)
            low, high = (1 / size, dual) if margin else (mpmath.mpf(reached.numerator) / reached.denominator / dual, size)
            return bool(met) and bool(low <= high * (1 + mpmath.mpf(2) ** -400)) and bool(
                max(abs(low / told - 1), abs(high / told - 1)) < mpmath.mpf(2) ** -100)
    if norm not in ("l1", "l2", "linf", "quadratic"):
        at = vector("start") if claim == "projection" else [Fraction()] * d
        enough = (min(margins) >= 1 and weighted and value > 0 and 0 <= dot(g, w[:d]) - 1 <= Fraction(1, 2 ** 100)
                  if claim == "maximum margin" else
                  margins == vector("goal") and value == dot(lam, vector("goal")) - dot(g, at))
        pulled = [v / value for v in g] if claim == "maximum margin" else g
        return bool(enough) and parted(norm, document["matrix"], w[:d], at, pulled) < 2 ** -190
    D = [[Fraction(v) for v in row] for row in document["matrix"] or np.eye(d, dtype=int).astype(str).tolist()]
    if norm == "quadratic" and np.linalg.eigvalsh(np.array(D, float)).min() <= 0:
        return False
    off = [a - b for a, b in zip(w, vector("start") if claim == "projection" else [Fraction()] * d, strict=False)]
    size = {"l1": lambda: sum(map(abs, off)), "linf": lambda: max(map(abs, off))}.get(
        norm, lambda: dot(off, [dot(row, off) for row in D]))()
    dual = {"linf": lambda: sum(map(abs, g)), "l1": lambda: max(map(abs, g))}.get(norm, lambda: None)()
    bend = [dot(row, off) for row in D]
    if claim == "maximum margin":
        optimal = dual * size == 1 and value == dual if dual is not None else \
            bend == [size * v for v in g] and value * size == 1
        return min(margins) >= 1 and bool(weighted) and optimal
    goal = vector("goal")
    at = vector("start")[:d] if claim == "projection" else [Fraction()] * d
    optimal = dual <= 1 and dot(lam, goal) - dot(g, at) == size == value if dual is not None else bend == g and value == size
    return margins == goal and optimal


def singular(norm, entries, m, dual=False):
    """The norm of a matrix with m rows, or its dual norm, by its singular values; on the cone by eigenvalues."""
    A = mpmath.matrix([[mpmath.mpf(x.numerator) / x.denominator for x in entries[i:i + len(entries) // m]]
                       for i in range(0, len(entries), len(entries) // m)])
    if norm == "psd":
        values = mpmath.eigsy(A, eigvals_only=True)
        return max(values) if dual else sum(values) if min(values) >= 0 else mpmath.inf
    values = mpmath.svd_r(A if A.rows >= A.cols else A.T, compute_uv=False)
    return max(values) if dual is (norm == "nuclear") else sum(values)


def parted(norm, parameter, w, start, pull):
    """Σ ψ(w) + ψ*(z) − wz with z = ∇ψ(w0) + Zᵀλ, which is 0 where ∇ψ(w) = z alone, relative to its terms: by mpmath."""
    with mpmath.workprec(700):
        def real(x):
            return mpmath.mpf(x.numerator) / x.denominator
        a = real(Fraction(parameter)) if parameter is not None else None
        q = a / (a - 1) if norm == "lp" else None
        psi, conjugate, link = {
            "lp": (lambda w: abs(w) ** a / a, lambda z: abs(z) ** q / q, lambda s: 0 if s == 0 else mpmath.nan),
            "entropy": (lambda w: w * mpmath.log(w) - w, mpmath.exp, mpmath.log),
            "cosh": (mpmath.cosh, lambda z: z * mpmath.asinh(z) - mpmath.sqrt(1 + z * z), mpmath.sinh),
            "hypentropy": (lambda w: w * mpmath.asinh(w / a) - mpmath.sqrt(w * w + a * a), lambda z: a * mpmath.cosh(z),
                           lambda s: mpmath.asinh(s / a))}[norm]
        off = scale = mpmath.mpf(0)
        for v, s, t in zip(map(real, w), map(real, start), map(real, pull), strict=True):
            z = link(s) + t
            terms = psi(v), conjugate(z), -v * z
            off, scale = off + sum(terms), scale + sum(map(abs, terms))
        return float(abs(off) / scale) if scale else 0.0


NUMBERS = ("primal", "dual", "rows", "matrix", "goal", "start", "value", "free", "cells", "offset")
ODD = ("nan", "inf", "-inf", "1e5", "1e999999999", "1/0", "0/1", "2/4", "-0", "+1", " 1", "1.5", "0x1", "", "1/2/3", "\u0661",
       "9" * 200_000, None, True, 1, 0.5, float("nan"), [], ["1"], {"1": "1"}, "x")


def deep(n):
    """A list in a list, so many times."""
    out = []
    for _ in range(n):
        out = [out]
    return out


def places(document):
    """All numbers of a document: a list, or the document itself, and where in it."""
    found = []
    for key in NUMBERS:
        todo = [(document, key)] if key in document else []
        while todo:
            where, at = todo.pop()
            if isinstance(where[at], list):
                todo += [(where[at], i) for i in range(len(where[at]))]
            elif isinstance(where[at], str):
                found.append((where, at))
    return found


def moved(rng, text):
    """Another number, near or far, or with another sign."""
    value = Fraction(text)
    choice = int(rng.integers(5))
    if choice == 0 and value:
        return str(-value)
    if choice == 1 and value:
        return str(value * 2)
    return str(value + (Fraction(1), Fraction(1, 2 ** 60), Fraction(1, 3))[choice % 3])


def altered(document, rng):
    """What was altered, and a document that is not what it was; its seal is that of what it was."""
    new = copy.deepcopy(document)
    what = ("number", "number", "number", "odd", "sign", "row", "norm", "claim", "scaled", "swapped", "gone", "more",
            "strict", "type", "deep")[int(rng.integers(15))]
    if what == "number":
        where, at = places(new)[int(rng.integers(len(places(new))))]
        where[at] = moved(rng, where[at])
    elif what == "odd":
        where, at = places(new)[int(rng.integers(len(places(new))))]
        where[at] = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
    elif what == "sign":                                    # a label turned
        n = int(rng.integers(len(new["rows"])))
        new["rows"][n] = [str(-Fraction(v)) for v in new["rows"][n]]
    elif what == "row":                                     # a row dropped, of all that has one for each
        n = int(rng.integers(len(new["rows"])))
        for key in ("rows", "dual", "goal", "strict"):
            if new.get(key):
                del new[key][n]
    elif what == "norm":
        new["norm"] = ("l1", "l2", "linf", "quadratic", "lp", None, ["l1"])[int(rng.integers(7))]
    elif what == "claim":
        new["claim"] = ("maximum margin", "minimum norm", "projection", "separable", "inseparable", "separation", "",
                        None, 3)[int(rng.integers(9))]
    elif what == "scaled":
        key = ("rows", "primal", "dual", "value")[int(rng.integers(4))]
        for where, at in places({"value": "0", **({key: new[key]} if key in new else {})}):
            where[at] = str(Fraction(where[at]) * 3)
        if key == "value" and "value" in new:
            new["value"] = str(Fraction(new["value"]) * 3)
    elif what == "swapped":
        rows = new["rows"][int(rng.integers(len(new["rows"])))]
        i, j = rng.integers(len(rows), size=2)
        rows[i], rows[j] = rows[j], rows[i]
    elif what == "gone":
        del new[tuple(new)[int(rng.integers(len(new)))]]
    elif what == "more":
        new[("note", "value ", "goal", "norm2", 3)[int(rng.integers(5))]] = "1"
    elif what == "strict":
        new["strict"] = [not s for s in new.get("strict", [])]
    elif what == "type":
        key = tuple(new)[int(rng.integers(len(new)))]
        new[key] = (None, 1, 1.5, True, [], {}, "x", [[]], [["1"], "1"])[int(rng.integers(9))]
    else:
        new[tuple(new)[int(rng.integers(len(new)))]] = deep(int(rng.choice([10, 5_000])))
    return what, new
