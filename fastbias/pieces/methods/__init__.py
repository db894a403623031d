"""Methods: what the optimiser makes of a gradient. Each is a direction (which asks a geometry) and
an advance.

============================  =======================  ======================================
method                        direction                advance
============================  =======================  ======================================
gradient descent              the gradient             primal:  w + βΔw + η·move, eq. (3)
steepest descent              the norm's Δ, eq. (11)   primal
natural gradient descent      ∇²ψ(w)⁻¹ g, eq. (9)      primal, and the new w must lie in dom ψ
AdaGrad, Adam, RMSProp …      g over its own history   primal
… with momentum of its own    the same                 w + η(b⁺ + γ(b⁺ − b)), b⁺ = μb + move
sign descent                  the signs of g           primal
coordinate, stagewise         its largest entries      primal
Muon, Signum, Lion            Δ of a sum of gradients  primal
dual acceleration             the gradient             with a weighted sum of all moves so far
mirror descent                the gradient             dual:    ∇ψ(w) + βΔz + η·move, eqs. (5), (7)
… with primal momentum        the gradient             link of  w + βΔw, plus η·move, eq. (8)
with decoupled weight decay   each of those of w       (1 − λη) w + η·move
============================  =======================  ======================================

sharpness_aware makes of any of these another one, which takes the gradient elsewhere; projected one
whose parameters stay in a set.

All evaluate the gradient at w + γΔw. Moves are built from −∇L, so they are added. Momentum
parameters and step sizes are numbers, or arrays with one entry an update, of which the last goes
on.

>>> import fastbias as fb
>>> method = fb.methods.gradient_descent(0.1, momentum=0.5)
>>> isinstance(method, fb.methods.Method), method.name
(True, 'gradient_descent')
>>> fb.run([[1, 2]], [1], loss="squared", method=method, steps=200).w[-1].round(6)
array([0.2, 0.4])
"""
from fastbias.pieces.methods import adaptive, averaging, mirror, primal, sets, sharpness, signs
from fastbias.pieces.methods.adaptive import adadelta, adagrad, adam, adamw, nadam, rmsprop
from fastbias.pieces.methods.averaging import dual_acceleration, muon
from fastbias.pieces.methods.base import Method
from fastbias.pieces.methods.mirror import mirror_descent
from fastbias.pieces.methods.primal import (
    coordinate_descent,
    gradient_descent,
    natural_gradient,
    stagewise,
    steepest_descent,
)
from fastbias.pieces.methods.sets import projected
from fastbias.pieces.methods.sharpness import sharpness_aware
from fastbias.pieces.methods.signs import lion, sign_descent, signum

__all__ = ["Method", "adadelta", "adagrad", "adam", "adamw", "coordinate_descent",
           "dual_acceleration", "gradient_descent", "lion", "mirror_descent", "muon", "nadam",
           "natural_gradient", "projected", "rmsprop", "sharpness_aware", "sign_descent", "signum",
           "stagewise", "steepest_descent"]

EXAMPLES: tuple[Method, ...] = primal.EXAMPLES + mirror.EXAMPLES + adaptive.EXAMPLES \
    + signs.EXAMPLES + averaging.EXAMPLES + sets.EXAMPLES + sharpness.EXAMPLES + (
        gradient_descent(0.01, 0.3, label_noise=0.1, gradient_noise=0.1, rng=7),
        mirror_descent("entropy", 0.02, batch=3, label_noise=0.3, replace=False, rng=2),
        steepest_descent("l2", 0.02, normalised=True, batch=4, gradient_noise=0.2, rng=1),
        coordinate_descent(0.02, batch=2, rng=6), adagrad(0.1, gradient_noise=0.1, clip=1.0, rng=3),
        adam(0.01, batch=2, replace="independent", rng=5), muon(0.01, gradient_noise=0.3, rng=1),
        gradient_descent(0.05, clip=0.5))
