"""Check a proof by itself, ``python -I -S checker.py FILE``: all is computed again, in integers.

Any w with Zw ≥ 1 and λ ≥ 0 with Σλ = 1 have 1 ≤ ‖w‖ ‖Zᵀλ‖⋆, any w with Zw = goal and any λ have
⟨λ, goal⟩ ≤ ‖w‖ ‖Zᵀλ‖⋆: where both are equal no w is better. ``free`` entries of w are in no norm.
"""
import json
import sys
from fractions import Fraction

CLAIMS = {"maximum margin": ["norm", "matrix", "value"], "separable": [], "inseparable": [],
          "minimum norm": ["norm", "matrix", "value", "goal"], "separation": ["strict"],
          "projection": ["norm", "matrix", "value", "goal", "start"]}
ALWAYS = ["format", "claim", "rows", "free", "primal", "dual", "seal"]
FORMAT, LONGEST, PRIME = "fastbias proof 1", 10**5, 10**100 + 267


def demand(holds: bool, line: str, why: str) -> None:
    """Refuse a document where something does not hold, and name the line."""
    if not holds:
        raise ValueError(f"the proof fails at line {line!r}: {why}")


def whole(digits: str) -> int:
    """The number of a string of digits, of any length: long ones Python reads in parts alone."""
    low = digits[-3999:]
    return whole(digits[:-3999]) * 10**3999 + int(low) if digits != low else int(low)


def number(text: str, line: str) -> Fraction:
    """An integer or a fraction in lowest terms, "-3" or "1/8"; nothing else is a number."""
    demand(type(text) is str and len(text) <= LONGEST, line, "a number must be a string of digits")
    parts = text.removeprefix("-").split("/")
    good = text.isascii() and len(parts) < 3 and text[:2] != "-0" and parts[1:] != ["0"]
    demand(good and not [p for p in parts if not p.isdigit() or p[0] == "0" != p], line,
           f"{text[:40]!r} is no integer and no fraction")
    top, low = [*map(whole, parts), 1][:2]
    value = Fraction(-top if text[0] == "-" else top, low)
    demand(value.denominator == low >= len(parts), line, f"{text[:40]!r} is not in lowest terms")
    return value


def table(rows: list, count: int, width: int, line: str) -> tuple[list[list], int]:
    """So many rows of numbers, as whole numbers over one number."""
    demand(type(rows) is list and len(rows) == count and all(type(row) is list and
           len(row) == width for row in rows), line, f"there must be {count} times {width} numbers")
    found, low = [[number(text, line) for text in row] for row in rows], 1
    for x in (x for row in found for x in row if low % x.denominator):
        low *= Fraction(x.denominator, low).numerator
    return [[x.numerator * (low // x.denominator) for x in row] for row in found], low


def dot(a: list, b: list) -> int:
    """⟨a, b⟩."""
    return sum(map(int.__mul__, a, b))


def seal(document: dict) -> str:
    """What an altered document has not: no proof of anything, it notices slips alone."""
    body = {key: value for key, value in document.items() if key != "seal"}
    return str(int.from_bytes(json.dumps(body, sort_keys=True).encode(), "big") % PRIME)


def metric(matrix: list, size: int) -> tuple[list[list[int]], int]:
    """D of ‖w‖² = wᵀDw over one number, if it is symmetric and positive definite."""
    D, low = table(matrix, size, size, "matrix")
    demand([list(column) for column in zip(*D)] == D, "matrix", "it must be symmetric")
    A, last = D, 1                              # (Bareiss: leading minors are the pivots)
    while A:
        top, A = A[0], A[1:]
        demand(top[0] > 0, "matrix", "it must be positive definite")
        A = [[(top[0] * a - row[0] * b) // last for a, b in zip(row[1:], top[1:])] for row in A]
        last = top[0]
    return D, low


def best(document: dict, w: list, scale: int, g: list, unit: int, reached: Fraction) -> None:
    """Whether w and g = Zᵀλ, over one number each, prove of each other that w is best."""
    norm, matrix, margin = document["norm"], document["matrix"], "goal" not in document
    (start,), over = table([document.get("start", ["0"] * len(w))], 1, len(w), "start")
    value, w = number(document["value"], "value"), [v * over - u * scale for v, u in zip(w, start)]
    scale *= over
    demand((matrix is None) is (norm != "quadratic"), "matrix", "it is for quadratic norms alone")
    if norm in ("l1", "linf") and document["claim"] != "projection":
        size, dual = (Fraction((sum if one else max)(map(abs, v)), low) for v, low, one in (
            (w, scale, norm == "l1"), (g, unit, norm != "l1")))
        demand(dual == value if margin else dual <= 1, "dual", "its dual norm is another one")
    else:
        demand(norm in ("l2", "quadratic"), "norm", "nobody knows this norm here")
        D, low = metric(matrix, len(w)) if norm == "quadratic" else ([], 1)
        Dw = [dot(row, w) for row in D] or w
        size = reached = Fraction(dot(w, Dw), low * scale * scale)
        ratio = (size if margin else 1) * Fraction(low * scale, unit)
        demand([v * ratio.denominator for v in Dw] == [u * ratio.numerator for u in g], "dual",
               "Dw is another multiple of Zᵀλ, or none")
    demand(value * size == 1 if margin else size == value == reached, "value", "another one")


def parted(strict: list, margins: list, lam: list) -> None:
    """Whether margins are over 0, and weights 0, on strict rows, and otherwise on others."""
    known = type(strict) is list and all(type(s) is bool for s in strict) and min(margins) >= 0
    demand(known and strict == [m > 0 for m in margins], "strict", "margins say otherwise")
    demand([v == 0 for v in lam] == strict, "dual", "weights are 0 on strict rows, and these alone")


def check(document: dict) -> bool:
    """True where a document proves its claim; else ValueError, which names the line that fails."""
    claim = document.get("claim", "") if type(document) is dict else ""
    demand(type(claim) is str and claim in CLAIMS, "claim", "there must be one that is known")
    wanted, equations = ALWAYS + CLAIMS[claim], "goal" in CLAIMS[claim]
    for key in [*document, *wanted]:
        demand(key in document and key in wanted, str(key)[:40], "missing, or not to be here")
    demand(document["format"] == FORMAT, "format", f"it must be {FORMAT!r}")
    Z = document["rows"]
    demand(type(Z) is list and [list] == [type(z) for z in Z[:1]] and Z[0] != [], "rows", "no row")
    count, size, free = len(Z), len(Z[0]), number(document["free"], "free")
    Z, low = table(Z, count, size, "rows")
    (goal,), under = table([document.get("goal", ["1"] * count)], 1, count, "goal")
    demand(low & (low - 1) == under & (under - 1) == 0, "rows", "data must be binary fractions")
    demand(free.denominator == 1 and 0 <= free < size, "free", "it must be less than columns")
    (w,), scale = table([document["primal"]], 1, size if claim != "inseparable" else 0, "primal")
    (lam,), unit = table([document["dual"]], 1, count if claim != "separable" else 0, "dual")
    margins, pull = [dot(z, w) for z in Z if w], [dot(lam, list(column)) for column in zip(*Z)]
    reached, d = Fraction(dot(lam, goal), unit * under), size - int(free)
    demand(equations or (not any(lam) and claim in ("separable", "separation"))
           or (min(lam) >= 0 and reached == 1), "dual", "there must be weights of sum 1")
    if "value" in wanted:
        off = [m * under - v * low * scale for m, v in zip(margins, goal)]
        demand(not any(off) if equations else min(off) >= 0, "primal", "Zw is not as it should be")
        best(document, w[:d], scale, pull[:d], low * unit, reached)
    elif w:
        parted(document.get("strict", [True] * count), margins, lam or [0] * count)
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
