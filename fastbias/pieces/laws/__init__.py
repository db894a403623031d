"""What every piece must obey. ``fb.laws.check(my_norm)`` holds a user's own piece to what ours are
held to.

A method is tried by a run, so that its laws join from `fastbias.running.tried`.
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
