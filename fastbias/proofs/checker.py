"""Check a proof by itself, ``python -I -S checker.py FILE``: all is computed again, in integers.

As Zw ≥ 1, λ ≥ 0, Σλ = 1 have 1 ≤ ‖w‖ ‖Zᵀλ‖⋆, and Zw = goal ⟨λ, goal⟩ ≤ ‖w‖ ‖Zᵀλ‖⋆, no w is better
where both are equal (to 2⁻¹⁰³, of matrices) or ∇ψ(w) = ∇ψ(start) + Zᵀλ (to 2⁻¹⁰³ of log w, w, ∇ψ).
No norm has ``free`` entries. With Zᵀλ = 0, λ > 0 but on strict rows, margins elsewhere are 0."""
import json
import re
import sys
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from math import isqrt, lcm
from operator import mul, sub

NUMBER = re.compile("(0|-?[1-9][0-9]*)(/([2-9]|[1-9][0-9]+))?").fullmatch
BEST, FORMAT, CLOSE = "norm matrix value ", "fastbias proof 1", Fraction(1, 2**103)
CLAIMS = {"separable": "", "inseparable": "", "separation": "strict", "maximum margin": BEST,
          "minimum norm": BEST + "goal", "projection": BEST + "goal start"}
EXACT, MATRICES = ["l1", "linf", "l2", "quadratic"], ["spectral", "nuclear", "psd"]
GIVEN = {"lp": str, "hypentropy": str, **dict.fromkeys(["quadratic", *MATRICES], list)}
LINKS = {"l2": lambda v, s, t, _: v - s - t, "cosh": lambda v, s, t, _: log(t, True) - v,
         "entropy": lambda v, s, t, _: log(v) - log(s) - t,
         "hypentropy": lambda v, s, t, a: log(v / a, True) - log(s / a, True) - t,
         "lp": lambda v, s, t, a: (v or t) and (log(t * v) - a * log(abs(v))) / (a - 1)}

def demand(holds: object, line: str, why: str) -> None:
    """Refuse a document where something does not hold, and name the line."""
    if not holds:
        raise ValueError(f"the proof fails at line {line!r}: {why}")

def number(text: str, line: str) -> Fraction:
    """An integer or a fraction in lowest terms, "-3" or "1/8"; nothing else is a number."""
    demand(type(text) is str and len(text) <= 10**5 and NUMBER(text), line, "it is no number")
    top, low = (int(Decimal(part)) for part in (text + "/1").split("/")[:2])    # (int has a limit)
    demand((value := Fraction(top, low)).denominator == low, line, "it is not in lowest terms")
    return value

def table(rows: list, count: int, width: int, line: str) -> tuple[list[list[int]], int]:
    """So many rows of numbers, as whole numbers over one number."""
    demand(type(rows) is list and len(rows) == count and all(type(row) is list and
           len(row) == width for row in rows), line, f"there must be {count} times {width} numbers")
    found = [[number(text, line) for text in row] for row in rows]
    low = lcm(*(x.denominator for row in found for x in row))
    return [[x.numerator * (low // x.denominator) for x in row] for row in found], low

def seal(document: dict) -> str:
    """What an altered document has not: no proof of anything, it notices slips alone."""
    body = {key: value for key, value in document.items() if key != "seal"}
    return str(int.from_bytes(json.dumps(body, sort_keys=True).encode(), "big") % (10**100 + 267))

def positive(A: list, line: str) -> None:
    """Demand that a matrix is symmetric and positive definite: pivots are minors (Bareiss)."""
    demand([list(column) for column in zip(*A)] == A, line, "it must be symmetric")
    last, low = 1, lcm(*(Fraction(x).denominator for row in A for x in row))
    A = [[int(x * low) for x in row] for row in A]
    while A:
        t, A = A[0], A[1:]
        demand(t[0] > 0, line, "it must be positive definite")
        A, last = [[(t[0] * a - r[0] * b) // last for a, b in zip(r[1:], t[1:])] for r in A], t[0]

def log(x: Fraction, root: bool = False) -> Fraction:
    """log x, or arsinh x = ±log(|x| + √(x² + 1)), to 2⁻²⁰⁰: of whole numbers decimals know it."""
    if root:
        return log(abs(x) + Fraction(isqrt((x * x + 1) * 4**256 // 1), 2**256)) * [-1, 1][x > 0]
    demand(x > 0, "primal", "it leaves the domain, or has another sign than ∇ψ")
    ln = Context(prec=120, Emax=MAX_EMAX, Emin=MIN_EMIN).ln
    return Fraction(ln(Decimal(x.numerator))) - Fraction(ln(Decimal(x.denominator)))

def best(document: dict, w: tuple, g: tuple, top: Fraction) -> None:
    """Whether w and g = Zᵀλ, over one number each, prove w best: λ/value, of margins 1/value."""
    norm, given, d = document["norm"], document["matrix"], len(w[0])
    demand(norm in [*EXACT, *LINKS, *MATRICES], "norm", "nobody knows this norm here")
    demand(type(given) is GIVEN.get(norm, type(None)), "matrix", "whose?")
    value, most = number(document["value"], "value"), CLOSE * (norm not in EXACT)
    (start,), low = table([document.get("start", ["0"] * d)], 1, d, "start")
    demand(norm not in ("lp", "cosh", *MATRICES) or not any(start), "start", "it must be 0")
    demand(value > 0 or "goal" in document, "value", "it must be over 0")
    value, per, top = (value, 1, top) if "goal" in document else (1 / value, value, 1 / value)
    v, s, t = ([*map(Fraction, x, [y] * d)] for x, y in (w, (start, low), (g[0], g[1] * per)))
    demand(value == top - sum(map(mul, s, t)), "value", "it is another one")
    demand(0 <= sum(map(mul, v, t)) - top <= most * abs(top), "value", "there is a gap")
    if norm in MATRICES:
        # Σσ(A) ≤ ½‖L‖² + ½‖R‖² + Σ|A − LRᵀ|; and σ(B) < c where c²I ≻ BBᵀ
        order, m = 1 - 2 * (norm == "spectral"), {*map(type, given)} == {list} and len(given[0])
        demand(m > 0 == d % m, "matrix", "it has another shape")
        a, c = (value + value * most, Fraction(1))[::order]
        A, B = ([x[i:i + d // m] for i in range(0, d, d // m)] for x in (v, t)[::order])
        F, u = table(given, m + d // m, m, "matrix")
        e = sum(abs(x * u**2 - sum(map(mul, f, g))) for f, r in zip(F, A) for g, x in zip(F[m:], r))
        demand(2 * e + sum(sum(map(mul, f, f)) for f in F) <= 2 * a * u**2, "matrix", "too large")
        ball = [[c * c * (x is y) - sum(map(mul, x, y)) for y in B] for x in B]
        cone = [[(x is y) - z for y, z in zip(B, x)] for x in B]
        for form, line in [(cone, "dual"), (A, "primal")] if norm == "psd" else [(ball, "dual")]:
            positive(form, line)
    elif norm in ("l1", "linf"):
        own, dual = (sum, max)[::2 * (norm == "l1") - 1]
        demand(own(map(abs, map(sub, v, s))) <= value and dual(map(abs, t)) <= 1, "dual", "> 1")
    else:
        a = number(given, "matrix") if type(given) is str else Fraction(2)
        demand(a > (norm == "lp") + Fraction(1, 2**60), "matrix", "it is too small")
        if norm == "quadratic":
            D, per = table(given, d, d, "matrix")
            positive(D, "matrix")
            v, s = ([sum(map(mul, r, x)) / per for r in D] for x in (v, s))
        off = max(map(abs, map(LINKS.get(norm, LINKS["l2"]), v, s, t, [a] * d)))
        demand(off <= most, "dual", "∇ψ(w) is not what value and dual say")

def check(document: dict) -> bool:
    """True where a document proves its claim; else ValueError, which names the line that fails."""
    claim = document.get("claim", "") if type(document) is dict else ""
    demand(claim in [*CLAIMS], "claim", "there must be one that is known")
    wanted = ("format claim rows free primal dual seal " + CLAIMS[claim]).split()
    demand(not (odd := {*document} ^ {*wanted}), str(*[*odd][:1])[:40], "missing or not to be here")
    demand(document["format"] == FORMAT, "format", f"it must be {FORMAT!r}")
    Z, free = document["rows"], number(document["free"], "free")
    demand(type(Z) is list and [list] == [type(z) for z in Z[:1]] and Z[0] != [], "rows", "no row")
    count, size, on = len(Z), len(Z[0]), document.get("strict", [True] * len(Z))
    demand(free.denominator == 1 and 0 <= free < size, "free", "it must be less than columns")
    Z, low = table(Z, count, size, "rows")
    (goal,), under = table([document.get("goal", ["1"] * count)], 1, count, "goal")
    demand(low & (low - 1) == under & (under - 1) == 0, "rows", "data must be binary fractions")
    (w,), scale = table([document["primal"]], 1, size * (claim != "inseparable"), "primal")
    (lam,), unit = table([document["dual"]], 1, count * (claim != "separable"), "dual")
    margins, pull = [sum(map(mul, z, w)) for z in Z if w], [sum(map(mul, lam, z)) for z in zip(*Z)]
    reached, d = Fraction(sum(map(mul, lam, goal)), unit * under), size - int(free)
    demand("goal" in wanted or (not any(lam) and claim in ("separable", "separation"))
           or (min(lam) >= 0 and reached == 1), "dual", "there must be weights of sum 1")
    if "value" in wanted:
        off = [m * under - v * low * scale for m, v in zip(margins, goal)]
        demand(not any(off) if "goal" in wanted else min(off) >= 0, "primal", "Zw is another one")
        best(document, (w[:d], scale), (pull[:d], low * unit), reached)
    elif w:
        demand(on == [m > 0 for m in margins] and {*map(type, on)} == {bool}, "strict", "not these")
        demand([v == 0 for v in lam or [0] * count] == on, "dual", "0 on strict rows alone")
    demand(not any(pull[d if "value" in wanted else 0:]), "dual", "Zᵀλ must be 0")
    demand(document["seal"] == seal(document), "seal", "something was altered since it was made")
    return True

def main(words: list[str], check: Callable[[dict], bool] = check) -> int:
    """Check the file that is named; 0 where it proves its claim, else 1."""
    try:
        with open(words[0], encoding="utf-8") as file:
            check(document := json.load(file))
        print(f"proved: {document['claim']}, of {len(document['rows'])} rows")
    except (ValueError, OSError, IndexError, RecursionError, MemoryError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
