"""Which solver a norm asks for: the one place where what a norm brings is read as a choice.

=========================  =========  =========================================================
a norm has …               oracle     its margin, and its minimum norm, by
=========================  =========  =========================================================
``matrix``                 QUADRATIC  least squares, made exact on the support vectors
``ball``                   POLYTOPE   interior points, linear programs, made exact at a vertex
``power``                  POWER      interior points; projections in the potential Σ|w|^p
``shape`` and ``resized``  SINGULAR   one of the two below, on matrices turned small
``shrink``                 PROXIMAL   its proximal map, and its convex face where that fails, made
                                      exact on the face of the ball
``convex``                 CONIC      its convex face, as nearly as a cone solver comes
none of these              NONE       no one: the norm can be run in, not solved for
=========================  =========  =========================================================
"""
from __future__ import annotations

from enum import Enum

import numpy as np

from fastbias.pieces import potentials
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.solvers.free import Gauge

__all__ = ["Oracle", "demand_convex", "has_margin", "oracle", "polytope_near", "potential",
           "power_potential", "strictly_convex"]


class Oracle(Enum):
    """Who solves for a norm, see above."""

    QUADRATIC = "matrix"
    POLYTOPE = "ball"
    POWER = "power"
    SINGULAR = "resized"
    PROXIMAL = "shrink"
    CONIC = "convex"
    NONE = ""


def oracle(norm: Gauge) -> Oracle:
    """The first of the table whose field the norm has: the exact come before the general."""
    for kind in Oracle:
        has = kind is not Oracle.NONE and getattr(norm, kind.value, None) is not None
        # (a norm that can be resized, and has no shape, is of no matrices here)
        if has and not (kind is Oracle.SINGULAR and norm.shape is None):
            return kind
    return Oracle.NONE


def has_margin(norm: Norm) -> bool:
    """Whether a maximum margin in the norm can be solved for."""
    exact = oracle(norm) in (Oracle.QUADRATIC, Oracle.POLYTOPE, Oracle.POWER)
    return exact or norm.convex is not None or norm.shrink is not None


def strictly_convex(norm: Gauge) -> bool | None:
    """Whether the norm's unit sphere has no straight piece; None where that is not known."""
    return {Oracle.QUADRATIC: True, Oracle.POWER: True, Oracle.POLYTOPE: False}.get(oracle(norm))


def power_potential(p: float) -> Potential:
    """A potential whose projection of 0 has the least Σ|w|^p: the one that is smoother there."""
    return potentials.squared_lp(p) if p <= 2 else potentials.power(p)


def potential(norm: Norm, d: int) -> Potential:
    """A potential whose projection of 0 has the least norm, of a quadratic norm or an ℓp one."""
    if norm.matrix is np.eye:
        return potentials.euclidean
    if norm.matrix is not None:
        return potentials.quadratic(norm.matrix(d))
    assert norm.power is not None
    return power_potential(norm.power)


def polytope_near(p: float) -> str:
    """The ball, cube or cross-polytope, that the ℓp ball is nearest to."""
    return "cube" if p > 2 else "cross-polytope"


def demand_convex(norm: Norm, why: str) -> None:
    """Raise ValueError unless the norm has a convex face."""
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face {why}, got {norm!r}")
