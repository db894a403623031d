"""Check a proof by itself, ``python -I -S checker.py FILE``: all is computed again, in integers.

Any w with Zw ≥ 1 and λ ≥ 0 with Σλ = 1 have 1 ≤ ‖w‖ ‖Zᵀλ‖⋆, any w with Zw = goal have ⟨λ, goal⟩ ≤
‖w‖ ‖Zᵀλ‖⋆: where both are equal no w is better. Nor is one if ∇ψ(w) = ∇ψ(start) + Zᵀλ, which must
hold to 2⁻¹⁰³ of log w, w or ∇ψ where it has no end of digits. ``free`` entries are in no norm.
"""
import json
import sys
from decimal import Decimal
from fractions import Fraction
from math import isqrt, lcm
from operator import mul
from re import fullmatch

CLAIMS = {"maximum margin": ["norm", "matrix", "value"], "separable": [], "inseparable": [],
          "minimum norm": ["norm", "matrix", "value", "goal"], "separation": ["strict"],
          "projection": ["norm", "matrix", "value", "goal", "start"]}
ALWAYS = ["format", "claim", "rows", "free", "primal", "dual", "seal"]
NUMBER, LONGEST, PRIME = "(0|-?[1-9][0-9]*)(/[1-9][0-9]*)?", 10**5, 10**100 + 267
FORMAT, ONE, CLOSE = "fastbias proof 1", 2**256, Fraction(1, 2**103)
LINKS = {"l1": lambda *_: 0, "linf": lambda *_: 0, "l2": lambda v, s, t, _: v - s - t,
         "quadratic": lambda v, s, t, _: v - s - t, "cosh": lambda v, s, t, _: arsinh(t) - v,
         "entropy": lambda v, s, t, _: log(v) - log(s) - t,
         "hypentropy": lambda v, s, t, a: arsinh(v / a) - arsinh(s / a) - t,
         "lp": lambda v, s, t, a: (v or t) and (log(t * v) - a * log(abs(v))) / (a - 1)}

def demand(holds: bool, line: str, why: str) -> None:
    """Refuse a document where something does not hold, and name the line."""
    if not holds:
        raise ValueError(f"the proof fails at line {line!r}: {why}")

def number(text: str, line: str) -> Fraction:
    """An integer or a fraction in lowest terms, "-3" or "1/8"; nothing else is a number."""
    demand(type(text) is str and len(text) <= LONGEST and fullmatch(NUMBER, text) is not None, line,
           "a number must be digits, or digits over digits, in a string")
    parts = [int(Decimal(part)) for part in text.split("/")]            # (int itself has a limit)
    value = Fraction(*parts)
    demand(len(parts) == 1 or value.denominator == parts[1] > 1, line, "it is not in lowest terms")
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
    return str(int.from_bytes(json.dumps(body, sort_keys=True).encode(), "big") % PRIME)

def positive(A: list[list[int]]) -> None:
    """Demand that a matrix is symmetric and positive definite: pivots are minors (Bareiss)."""
    demand([list(column) for column in zip(*A)] == A, "matrix", "it must be symmetric")
    last = 1
    while A:
        t, A = A[0], A[1:]
        demand(t[0] > 0, "matrix", "it must be positive definite")
        A, last = [[(t[0] * a - r[0] * b) // last for a, b in zip(r[1:], t[1:])] for r in A], t[0]

def log(x: Fraction) -> Fraction:
    """log x to 2⁻²⁰⁰: 2 artanh((y − 1)/(y + 1)) of y within [½, 2], and of as many twos."""
    demand(x > 0, "primal", "it leaves the domain, or has another sign than ∇ψ")
    total, twos = 0, x.numerator.bit_length() - x.denominator.bit_length()
    for y, times in ((x / Fraction(2)**twos, 2), (Fraction(2), 2 * twos)):
        power = (y.numerator - y.denominator) * ONE // (y.numerator + y.denominator)
        square = power * power // ONE
        for k in range(1, 161, 2):
            total, power = total + times * (power // k), power * square // ONE
    return Fraction(total, ONE)

def arsinh(x: Fraction) -> Fraction:
    """log(x + √(x² + 1)), which is odd, as well."""
    top, low = abs(x.numerator) * ONE, x.denominator * ONE
    return log(Fraction(top + isqrt(top * top + low * low), low)) * (1 if x > 0 else -1)

def best(document: dict, w: tuple, g: tuple, top: Fraction) -> None:
    """Whether w and g = Zᵀλ, over one number each, prove of each other that w is best."""
    norm, given, margin, d = document["norm"], document["matrix"], "goal" not in document, len(w[0])
    value, most = number(document["value"], "value"), CLOSE * (norm not in [*LINKS][:4])
    (start,), low = table([document.get("start", ["0"] * d)], 1, d, "start")
    demand(norm in [*LINKS], "norm", "nobody knows this norm here")
    demand((given is not None) is (norm in ("quadratic", "lp", "hypentropy")), "matrix", "whose?")
    demand(value > 0 or not margin, "value", "it must be over 0")
    v, s, t = ([Fraction(x, y) for x in row] for row, y in (w, (start, low), g))
    left = sum(map(mul, v, t)) - top if margin else top - sum(map(mul, s, t)) - value
    if norm in ("l1", "linf"):
        off, pull = [abs(x - y) for x, y in zip(v, s)], list(map(abs, t))
        size, dual = (sum(off), max(pull)) if norm == "l1" else (max(off), sum(pull))
        good = size * value == 1 and dual == value if margin else size == value and dual <= 1
        demand(good, "dual", "its dual norm, or the norm of w, is another one")
    elif norm == "quadratic":
        D, per = table(given, d, d, "matrix")
        positive(D)
        v, s = ([Fraction(sum(map(mul, r, x)), y * per) for r in D] for x, y in (w, (start, low)))
    a = number(given, "matrix") if norm in ("lp", "hypentropy") else Fraction(2)
    demand(a > (norm == "lp") + Fraction(1, 2**60), "matrix", "it is too small")
    demand(norm not in ("lp", "cosh") or not any(start), "start", "it must be 0")
    off = [LINKS[norm](x, y, u / value if margin else u, a) for x, y, u in zip(v, s, t)]
    demand(max(map(abs, off)) <= most, "dual", "∇ψ(w) is not what value and dual say")
    demand(0 <= left <= most * margin, "value", "another one")

def check(document: dict) -> bool:
    """True where a document proves its claim; else ValueError, which names the line that fails."""
    claim = document.get("claim", "") if type(document) is dict else ""
    demand(claim in [*CLAIMS], "claim", "there must be one that is known")
    wanted, equations = ALWAYS + CLAIMS[claim], "goal" in CLAIMS[claim]
    for key in {*document} ^ {*wanted}:
        demand(False, str(key)[:40], "missing, or not to be here")
    demand(document["format"] == FORMAT, "format", f"it must be {FORMAT!r}")
    Z, free = document["rows"], number(document["free"], "free")
    demand(type(Z) is list and [list] == [type(z) for z in Z[:1]] and Z[0] != [], "rows", "no row")
    count, size, strict = len(Z), len(Z[0]), document.get("strict", [True] * len(Z))
    demand(free.denominator == 1 and 0 <= free < size, "free", "it must be less than columns")
    Z, low = table(Z, count, size, "rows")
    (goal,), under = table([document.get("goal", ["1"] * count)], 1, count, "goal")
    demand(low & (low - 1) == under & (under - 1) == 0, "rows", "data must be binary fractions")
    (w,), scale = table([document["primal"]], 1, size * (claim != "inseparable"), "primal")
    (lam,), unit = table([document["dual"]], 1, count * (claim != "separable"), "dual")
    margins, pull = [sum(map(mul, z, w)) for z in Z if w], [sum(map(mul, lam, z)) for z in zip(*Z)]
    reached, d = Fraction(sum(map(mul, lam, goal)), unit * under), size - int(free)
    demand(equations or (not any(lam) and claim in ("separable", "separation"))
           or (min(lam) >= 0 and reached == 1), "dual", "there must be weights of sum 1")
    if "value" in wanted:
        off = [m * under - v * low * scale for m, v in zip(margins, goal)]
        demand(not any(off) if equations else min(off) >= 0, "primal", "Zw is not as it should be")
        best(document, (w[:d], scale), (pull[:d], low * unit), reached)
    elif w:
        demand(strict == [m > 0 for m in margins] and {*map(type, strict)} == {bool} and
               min(margins) >= 0, "strict", "margins say otherwise")
        demand([v == 0 for v in lam or [0] * count] == strict, "dual", "0 on strict rows alone")
    demand(not any(pull[d if "value" in wanted else 0:]), "dual", "Zᵀλ must be 0")
    demand(document["seal"] == seal(document), "seal", "something was altered since it was made")
    return True

def main(words: list[str]) -> int:
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
