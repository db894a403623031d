"""Proofs that anybody can check, without fastbias and without belief in it.

`Limit.proof`, `Separability.proof` and `Separation.proof` return documents that JSON holds: the
rows as they were given, binary fractions all of them, what is claimed, and the two vectors that
prove it of each other, over the rationals: exactly, or to 2⁻¹⁰⁰. `check` computes all of it again,
and so does ``python -m fastbias check FILE``, or ``python -I -S fastbias/proofs/checker.py FILE``:
one file that needs Python alone.
"""
from __future__ import annotations

from typing import Any

from fastbias.checks import above, foreign
from fastbias.proofs.checker import check
from fastbias.solvers.limit import Limit
from fastbias.solvers.separability import Separability
from fastbias.solvers.separation import Separation

__all__ = ["check"]


def _document(found: Limit | Separability | Separation) -> dict[str, Any]:
    """Prove it; what that takes is loaded when it is first asked for."""
    document: dict[str, Any] = foreign.library("fastbias.proofs.prove").document(found)
    return document


for kind in (Limit, Separability, Separation):
    above.document.register(kind, _document)
