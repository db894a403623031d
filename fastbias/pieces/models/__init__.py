"""Models w = F(u): the parameters u that the method moves, and the linear predictor w that the
theorems speak of.

A model is two compiled pieces: ``forward(params, u, out)`` writes w = F(u); ``pullback(params, u,
v, out)`` writes F'(u)ᵀ v. To add one: write the two, put them into a `Model`, list it in its file's
``EXAMPLES``.
"""
from fastbias.pieces.models import base, circular, entrywise, matrices, rectified
from fastbias.pieces.models.base import Model, linear
from fastbias.pieces.models.circular import convolutional
from fastbias.pieces.models.entrywise import diagonal
from fastbias.pieces.models.matrices import deep_linear, factorised, symmetric
from fastbias.pieces.models.rectified import relu

__all__ = ["Model", "convolutional", "deep_linear", "diagonal", "factorised", "linear", "relu",
           "symmetric"]

EXAMPLES: tuple[Model, ...] = (base.EXAMPLES + entrywise.EXAMPLES + matrices.EXAMPLES
                               + circular.EXAMPLES
                               + rectified.EXAMPLES)
