"""Proofs that anybody can check, without fastbias and without belief in it.

`Limit.proof`, `Separability.proof` and `Separation.proof` return documents that JSON holds: the
rows as they were given, binary fractions all of them, what is claimed, and the two vectors that
prove it of each other, over the rationals: exactly, or to 2⁻¹⁰⁰; and so does `fb.relu.margin`'s
answer, of all networks. `check` computes all of it again, and so does ``python -m fastbias check
FILE``, or ``python -I -S fastbias/proofs/checker.py FILE``: one file that needs Python alone, and
of networks ``network_checker.py`` beside it.

>>> import fastbias as fb
>>> limit = fb.max_margin([[3, 1], [1, 2], [-1, -1]], [1, 1, -1])
>>> fb.proofs.check(limit.proof())
True
"""
from __future__ import annotations

from typing import Any

from fastbias.checks import above, foreign
from fastbias.proofs import checker, network_checker
from fastbias.solvers.limit import Limit
from fastbias.solvers.relu import Widest
from fastbias.solvers.separability import Separability
from fastbias.solvers.separation import Separation

__all__ = ["check"]


def check(document: dict[str, Any]) -> bool:
    """Check a document, of any claim.

    Parameters
    ----------
    document : dict
        As ``proof()`` makes it, or `json.load`.

    Returns
    -------
    bool
        True where it proves its claim.

    Raises
    ------
    ValueError
        Where it does not: the line that fails, and why.

    Examples
    --------
    >>> import fastbias as fb
    >>> document = fb.max_margin([[3, 1], [1, 2]], [1, -1]).proof()
    >>> fb.proofs.check(document)
    True
    """
    of_network = type(document) is dict and document.get("claim") == network_checker.CLAIM
    return (network_checker if of_network else checker).check(document)


def _document(found: Limit | Separability | Separation | Widest) -> dict[str, Any]:
    """Prove it; what that takes is loaded when it is first asked for."""
    document: dict[str, Any] = foreign.library("fastbias.proofs.prove").document(found)
    return document


for kind in (Limit, Separability, Separation, Widest):
    above.document.register(kind, _document)
