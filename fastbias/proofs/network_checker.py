"""Check a proof of a network's margin, ``python -I -S network_checker.py FILE``, in integers.

Of f(z) = o + Σ a_k[⟨z, v_k⟩]₊ with y_n f(z_n) ≥ 1 and λ ≥ 0, Σλ = 1 (Σyλ = 0 where o is free), 1 ≤
Σ|a_k|‖v_k‖ · max φ(v)/‖v‖, φ(v) = ±Σ λ_n y_n [⟨z_n, v⟩]₊: so that no network is better where both
are equal, to 2⁻¹⁰³. ‖v‖ leaves out ``free`` entries. A tree cuts all v into cells, where some
⟨z_n, v⟩ are 0 or have a sign s_n: c[⟨z_n, v⟩]₊ ≤ t⟨z_n, v⟩ where t ≥ c, or s_n < 0, and t ≤ 0, or
s_n > 0. A t with Σ t_n z_n = 0 that does so of c = 0 shows that ⟨z_n, v⟩ = 0 for some z_n ≠
0 in all of the cell; near to each such v there are others, in other cells.
"""
import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from math import isqrt
from operator import mul

try:
    from fastbias.proofs import checker
except ImportError:
    # alone: numbers, tables and the seal are in the file beside this one
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    checker = __import__("checker")

CLAIM, ROOT = "network margin", 2**256
LINES = "format claim rows free goal offset primal dual value tree cells seal"
demand, table = checker.demand, checker.table


def dot(a: Iterable[int], b: Iterable[int]) -> int:
    """⟨a, b⟩."""
    return sum(map(mul, a, b))


def check(document: dict) -> bool:
    """True where a document proves its claim; else ValueError, which names the line that fails."""
    lines = {*document} if type(document) is dict else set()
    demand(lines and document.get("claim") == CLAIM, "claim", f"it must be {CLAIM!r}")
    odd = [*lines ^ {*LINES.split()}]
    demand(not odd, str(*odd[:1])[:40], "missing or not to be here")
    demand(document["format"] == checker.FORMAT, "format", f"it must be {checker.FORMAT!r}")
    for key in ("rows", "primal", "cells"):
        demand(type(document[key]) is list and document[key] != [], key, "there must be some")
    demand(type(document["rows"][0]) is list, "rows", "there must be lists of numbers")
    count, size = len(document["rows"]), len(document["rows"][0])
    Z, low = table(document["rows"], count, size, "rows")
    demand(low & (low - 1) == 0, "rows", "data must be binary fractions")
    (y,), one = table([document["goal"]], 1, count, "goal")
    demand(one == 1 and {*y} <= {-1, 1}, "goal", "labels must be 1 and -1")
    demand(document["free"] in ("0", "1") and int(document["free"]) < size, "free", "0 or 1")
    value, d = checker.number(document["value"], "value"), size - int(document["free"])
    demand(value > 0, "value", "it must be over 0")
    (lam,), unit = table([document["dual"]], 1, count, "dual")
    demand(min(lam) >= 0 and sum(lam) == unit, "dual", "there must be weights of sum 1")
    o, c = document["offset"], [*map(mul, y, lam)]
    demand(o is None or sum(c) == 0, "dual", "the offset must not feel it")
    U, per = table(document["primal"], len(document["primal"]), size + 1, "primal")
    f = [sum(a * max(0, dot(v, z)) for a, *v in U) for z in Z]
    top = checker.number(o, "offset") * low * per**2 if o is not None else 0
    demand(min(v * (x + top) for v, x in zip(y, f)) >= low * per**2, "primal", "a margin is < 1")
    cost = sum(abs(a) * (isqrt(dot(v[:d], v[:d]) * ROOT**2) + 1) for a, *v in U)
    demand(cost * value <= (1 + checker.CLOSE) * ROOT * per**2, "value", "there is a gap")
    covered(document, Z, c, d, value * low, unit)
    demand(document["seal"] == checker.seal(document), "seal", "something was altered")
    return True


def covered(document: dict, Z: list[list[int]], c: list[int], d: int, most: Fraction,
            unit: int) -> None:
    """Demand of both signs that φ(v) ≤ most ‖v‖ in cells that are all of space: (k, t) for k c."""
    T, _ = table(document["cells"], len(document["cells"]), len(Z) + 1, "cells")
    demand(type(document["tree"]) is str, "tree", "it must be names of rows, and dots for cells")
    tree, leaves = iter(document["tree"].split()), iter(T)
    todo: list[tuple[int, dict[str, int]]] = [(-1, {}), (1, {})]
    while todo:
        (sign, s), n = todo.pop(), next(tree, ".")
        if n != "." and len(s) < len(Z):
            todo += [(sign, {**s, n: 1}), (sign, {**s, n: -1})]
            continue
        k, *t = next(leaves, [-1])
        demand(k >= 0 and any([k, *(x and any(z) for x, z in zip(t, Z))]), "cells", "one is empty")
        for i, (x, v) in enumerate(zip(t, c)):
            side = s.get(str(i), 0)
            demand(side < 0 or x * unit >= k * sign * v, "cells", "t must not be under c there")
            demand(side > 0 or x <= 0, "cells", "t must not be over 0 there")
        g = [dot(t, z) for z in zip(*Z)]
        demand(not any(g[d:]), "cells", "Σ t z must be 0 in free entries")
        demand(dot(g[:d], g[:d]) <= (k * most) ** 2, "cells", "Σ t z is too long")


if __name__ == "__main__":
    sys.exit(checker.main(sys.argv[1:], check))
