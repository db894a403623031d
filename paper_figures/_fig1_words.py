"""What Figure 1 reads and says in words: equations and pairs of the command line, and sentences on
its runs, each taken from where they end.
"""
from __future__ import annotations

import re

import numpy as np

import fastbias as fb

ON = 0.01             # of the view: as near as on the star
SAME = 1e-6           # of the view: ends nearer than this are one point
SHORT = {fb.Status.NOT_FINITE: "not finite", fb.Status.OUT_OF_DOMAIN: "out of domain",
         fb.Status.UNBOUNDED: "unbounded"}

Data = tuple[np.ndarray, np.ndarray]


def table(texts: list[str]) -> Data:
    """The equations of ``--data``: X (N, d) and y (N,)."""
    tight = re.sub(r"\s*([,;|])\s*", r"\1", " ".join(texts).strip())
    rows = []
    for row in filter(None, re.split(r"[|\s]+", tight)):
        features, _, target = row.partition(";")
        try:
            rows.append(([float(x) for x in features.split(",")], float(target)))
        except ValueError:
            raise ValueError("--data must be rows such as \"2,3;1.5\", features and after the "
                             f"semicolon a target, got {row!r}") from None
    if not rows or len({len(x) for x, _ in rows}) > 1 or len(rows[0][0]) < 2:
        raise ValueError("--data must be rows of two features or more, of equal number, got "
                         f"{' '.join(texts)!r}")
    return np.array([x for x, _ in rows]), np.array([y for _, y in rows])


def pairs(texts: list[str]) -> tuple[tuple[float, float], ...]:
    """The pairs (β, γ) of ``--momentum``."""
    found = []
    for text in texts:
        parts = text.split(",")
        try:
            beta, gamma = map(float, parts)
        except ValueError:
            raise ValueError(f"--momentum must be pairs such as 0.5,0, got {text!r}") from None
        found.append((beta, gamma))
    return tuple(found)


def verdict(ends: list[np.ndarray], varied: str, view: float, star: np.ndarray | None,
            flow: np.ndarray | None) -> str:
    """What the ends of runs that came to rest, of the flow η → 0 too, say of the limit.

    ``varied`` is in what the runs differ, ``view`` how much of the plane is seen.
    """
    if not ends and flow is None:
        return "no run comes to rest"
    told, apart = "", max((length(u - v) for u in ends for v in ends), default=0.0)
    if apart > SAME * view:
        small = f", by {apart:.1g}" if apart <= ON * view else ""
        told = f"the limit depends on {varied}{small}"
    elif ends:
        runs = "all runs that rest end" if len(ends) > 1 else "one run rests, and ends"
        where = "in one point" if star is None and len(ends) > 1 else "" if star is None \
            else "on w*" if max(length(w - star) for w in ends) <= SAME * view else "off w*"
        told = f"{runs} {where}".strip()
    if flow is not None and star is not None and length(flow - star) > SAME * view:
        told += "; η → 0 misses w*"
    return told.removeprefix("; ")


def length(w: np.ndarray) -> float:
    """‖w‖₂; inf of a run that ran away."""
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(w))


def theory(plan: fb.Plan, flow: bool, unique: bool) -> str:
    """Which theorem predicts a run's limit, which example of the paper shows that none can, or
    that none applies.
    """
    try:
        return "yes: " + plan.limit(flow).theorem.partition(":")[0]
    except fb.NoTheorem as error:
        if unique:
            return "no theorem, but the solution is unique"
        source = error.source.rpartition("(2018), ")[2]
        # (a theorem is named where it is the nearest one that there is)
        return f"no: {source}" if "Example" in source else "no theorem applies"


def contradiction(X: np.ndarray, y: np.ndarray) -> str:
    """That no w solves all equations, if it is so; else nothing."""
    N, d = X.shape
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    if length(X @ w - y) <= 1e-9 * max(length(y), length(X) * length(w)):
        return ""
    more = "; give as many unknowns as equations, or more" if d < N else ""
    return f"{N} equations in {d} unknowns contradict each other{more}"


def within(far: float) -> str:
    """A distance to one digit, rounded up; from a millionth on."""
    far = max(far, 1e-6)
    unit = 10 ** np.floor(np.log10(far))
    return f"{np.ceil(far / unit * (1 - 1e-12)) * unit:g}".replace("e-0", "e-")
