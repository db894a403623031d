"""Models w = F(u): the parameters u that the method moves, and the linear predictor w that the
theorems speak of.

A model is two compiled pieces: ``forward(params, u, out)`` writes w = F(u); ``pullback(params, u,
v, out)`` writes F'(u)ᵀ v. To add one: write the two, put them into a `Model`, list it in its file's
``EXAMPLES``.

>>> import fastbias as fb
>>> fb.models.linear.degree, fb.models.diagonal(3).degree, fb.models.weight_normalised.degree
(1, 3, 0)
"""
from fastbias.pieces.models import (
    base,
    circular,
    entrywise,
    groups,
    held,
    matrices,
    normalised,
    rectified,
    squares,
    tokens,
)
from fastbias.pieces.models.base import Model, linear
from fastbias.pieces.models.circular import convolutional
from fastbias.pieces.models.entrywise import diagonal
from fastbias.pieces.models.groups import grouped
from fastbias.pieces.models.held import frozen
from fastbias.pieces.models.matrices import deep_linear, factorised
from fastbias.pieces.models.normalised import weight_normalised
from fastbias.pieces.models.rectified import relu
from fastbias.pieces.models.squares import symmetric
from fastbias.pieces.models.tokens import attention

__all__ = ["Model", "attention", "convolutional", "deep_linear", "diagonal", "factorised", "frozen",
           "grouped", "linear", "relu", "symmetric", "weight_normalised"]

EXAMPLES: tuple[Model, ...] = (base.EXAMPLES + entrywise.EXAMPLES + squares.EXAMPLES
                               + matrices.EXAMPLES + circular.EXAMPLES + rectified.EXAMPLES
                               + groups.EXAMPLES + held.EXAMPLES + normalised.EXAMPLES
                               + tokens.EXAMPLES)
