"""Proofs that anybody can check, without fastbias and without belief in it.

`Limit.proof`, `Separability.proof` and `Separation.proof` return documents that JSON holds: the
rows as they were given, binary fractions all of them, what is claimed, and the two vectors that
prove it of each other, over the rationals. `check` computes all of it again, and so does
``python -m fastbias check FILE``, or ``python -I -S fastbias/proofs/checker.py FILE``: one file
that needs Python alone.
"""
from fastbias.proofs.checker import check

__all__ = ["check"]
