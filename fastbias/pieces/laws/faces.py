"""The convex face of a norm or a potential, which cvxpy sees, is the compiled one."""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.pieces.laws.base import Rows, unlike, vector
from fastbias.pieces.laws.potentials import dual
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential


def of_faces(piece: Any, rng: np.random.Generator, size: int) -> Rows:
    """The convex face of a norm or a potential is the compiled one."""
    if isinstance(piece, Norm | Potential) and piece.convex is not None:
        cvxpy = foreign.library("cvxpy")
        x = vector(rng, size) if isinstance(piece,
                                            Norm) else piece.to_primal(dual(piece, rng, size))
        off = unlike(piece.convex(cvxpy, cvxpy.Constant(x)).value, piece(x))
        yield ("the convex face is the norm" if isinstance(piece, Norm)
               else "the convex face is ψ"), off, \
            1e-4 if isinstance(piece, Norm) else 1e-6, x
