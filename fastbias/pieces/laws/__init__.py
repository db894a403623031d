"""What every piece must obey. ``fb.laws.check(my_norm)`` holds a user's own piece to what ours are
held to.

A method is tried by a run, so that its laws join from `fastbias.running.tried`.

>>> from dataclasses import replace
>>> import numpy as np
>>> import fastbias as fb
>>> laws = fb.laws.check(fb.norms.l2)
>>> all(isinstance(law, fb.laws.Law) and law.worst <= law.tolerance for law in laws)
True
>>> fb.laws.demand("norm", fb.norms.l2)
>>> fb.laws.ours(fb.norms.l2), fb.laws.trusted(fb.norms.l2)
(True, '')
>>> bool(np.ptp(fb.laws.tail(fb.losses.exponential)) < 1e-9)
True
>>> try:
...     fb.laws.check(replace(fb.norms.l2, dual_norm=fb.norms.l1.dual_norm))
... except fb.laws.LawBroken as broken:
...     print(str(broken)[:20])
<norm l2> breaks the
"""
from fastbias.pieces.laws.base import FACES, LAWS, Law, LawBroken, check, demand, ours, trusted
from fastbias.pieces.laws.faces import of_faces
from fastbias.pieces.laws.losses import of_loss, tail
from fastbias.pieces.laws.models import of_model
from fastbias.pieces.laws.norms import of_norm
from fastbias.pieces.laws.potentials import of_potential
from fastbias.pieces.laws.rules import of_rule
from fastbias.pieces.losses import Loss
from fastbias.pieces.models import Model
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.steps import StepRule

__all__ = ["Law", "LawBroken", "check", "demand", "ours", "tail", "trusted"]

LAWS |= {Norm: of_norm, Potential: of_potential, Loss: of_loss, Model: of_model, StepRule: of_rule}
FACES.append(of_faces)
