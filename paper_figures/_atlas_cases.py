"""The runs of the atlas: for every row of the theory's tables at least one small plan, and how far it is followed."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import fastbias as fb
from paper_figures._atlas_made import (
    CORNERS,
    CYCLE,
    D4,
    DIVERGES,
    EXAMPLE_2,
    EXAMPLE_3,
    EXAMPLE_4,
    GROUPS,
    REGRESSION,
    SHORT,
    SWINGS,
    TURNS,
    Case,
    Data,
    Far,
    Flow,
    Steps,
    apart,
    classes,
    commuting,
    completion,
    gentle,
    least,
    matrices,
    nearest_minimum,
    on_axes,
    own_metric,
    projection,
    ridge,
    signals,
    symmetric_matrices,
    widest,
)

m, psi, norms, steps, models = fb.methods, fb.potentials, fb.norms, fb.steps, fb.models


# --- Section 2 -----------------------------------------------------------------------------------------------------------

def section_2() -> Iterator[Case]:
    """Losses with a unique finite root."""
    def fit(method: Any, data: Data = REGRESSION, loss: Any = "squared", start: Any = None) -> fb.Plan:
        return fb.Plan(*data, loss=loss, method=method, start=start)
    gd, mirror, D5 = m.gradient_descent, m.mirror_descent, np.arange(1.0, 6.0)
    family = "gradient descent"
    yield Case(family, "plain", fit(gd(0.02)))
    yield Case(family, "from (1, …, 1)", fit(gd(0.02), start=np.ones(5)))
    yield Case(family, "heavy ball", fit(gd(0.02, 0.5)))
    yield Case(family, "Nesterov", fit(gd(0.02, 0.5, 0.5)))
    yield Case(family, "stochastic", fit(gd(0.02, batch=1, rng=0)))
    yield Case(family, "Huber", fit(gd(0.02), loss=fb.losses.huber(0.5)))
    yield Case(family, "truncated", fit(gd(0.02), loss=fb.losses.truncated_squared(50.0)))
    yield Case(family, "least squares", fit(gd(0.02), (np.random.default_rng(0).normal(size=(6, 4)), np.arange(6.0))))
    family = "mirror descent"
    for name, potential in (("entropy", psi.entropy), ("squared ℓ1.5", psi.squared_lp(1.5)), ("power 3", psi.power(3)),
                            ("hypentropy 0.1", psi.hypentropy(0.1)), ("cosh", psi.cosh), ("quadratic", psi.quadratic(D5))):
        yield Case(family, name, fit(mirror(potential, gentle(potential, REGRESSION))))
    pairs = symmetric_matrices(2, 2, 0)[0], [1.0, 0.7]
    spectral = psi.spectral_entropy(2)
    yield Case(family, "spectral entropy", fit(mirror(spectral, gentle(spectral, pairs)), pairs))
    yield Case(family, "entropy stochastic", fit(mirror("entropy", gentle(psi.entropy, REGRESSION), batch=1, rng=0)))
    yield Case(family, "entropy Huber", fit(mirror("entropy", gentle(psi.entropy, REGRESSION)), loss=fb.losses.huber(0.5)))
    affine = np.ones((1, 5)), [5.0]
    eta = gentle(psi.entropy, REGRESSION, affine)
    yield Case(family, "entropy with Σ w = d", fit(mirror("entropy", eta, constraint=affine)))
    yield Case(family, "flow cosh", fit(mirror("cosh", 0.01)), Flow())
    family = "with momentum"
    yield Case(family, "dual entropy", fit(mirror("entropy", 0.05, dual_momentum=0.5), EXAMPLE_2))
    yield Case(family, "dual cosh Nesterov", fit(mirror("cosh", gentle(psi.cosh, REGRESSION), 0.5, 0.0, 0.3)))
    yield Case(family, "primal quadratic", fit(mirror(psi.quadratic(D5), 0.01, primal_momentum=0.5)))
    for other, differ in ((mirror("entropy", 0.02, primal_momentum=0.5), "η = 0.05, 0.02"),
                          (mirror("entropy", 0.05, primal_momentum=0.3), "β = 0.5, 0.3")):
        yield Case(family, "primal entropy", fit(mirror("entropy", 0.05, primal_momentum=0.5), EXAMPLE_2),
                   other=fit(other, EXAMPLE_2), differ=differ, instead=projection(psi.entropy), expected="argmin D_ψ")
    family = "natural gradient"
    yield Case(family, "flow entropy", fit(m.natural_gradient("entropy", 0.01)), Flow())
    yield Case(family, "quadratic", fit(m.natural_gradient(psi.quadratic(D5), 0.01)))
    yield Case(family, "entropy", fit(m.natural_gradient("entropy", 0.1), EXAMPLE_3),
               other=fit(m.natural_gradient("entropy", 0.05), EXAMPLE_3), differ="η = 0.1, 0.05",
               instead=projection(psi.entropy), expected="argmin D_ψ")
    yield Case(family, "own metric", fit(m.natural_gradient(own_metric, 0.1), EXAMPLE_3, start=np.ones(2)),
               other=fit(m.natural_gradient(own_metric, 0.05), EXAMPLE_3, start=np.ones(2)), differ="η = 0.1, 0.05")
    family = "steepest descent"
    yield Case(family, "ℓ2", fit(m.steepest_descent("l2", 0.02)))
    yield Case(family, "quadratic", fit(m.steepest_descent(norms.quadratic(D5), 0.02)))
    for name, norm, data, etas in (("ℓ4/3", norms.lp(4 / 3), EXAMPLE_4, (0.1, 0.05)),
                                   ("ℓ∞", norms.linf, TURNS, (0.01, 0.005)),
                                   ("group", norms.group([[0, 1], [2, 3, 4]]), REGRESSION, (0.05, 0.02))):
        one, other = (fit(m.steepest_descent(norm, eta), data) for eta in etas)
        yield Case(family, name, one, other=other, differ=f"η = {etas[0]:g}, {etas[1]:g}", instead=least(norm),
                   expected="min norm")
    family = "fixed length"
    for name, method in (("ℓ3", m.steepest_descent(norms.lp(3), 0.1, normalised=True)), ("sign", m.sign_descent(0.1))):
        yield Case(family, name, fit(method), instead=nearest_minimum, expected="the nearest minimum, for ever")
    one, other = (fit(m.steepest_descent("l2", 0.02, momentum=mu)) for mu in (0.5, 0.8))
    yield Case("momentum of ∇L", "ℓ2", one, other=other, differ="μ = 0.5, 0.8")
    family = "coordinates"
    one, other = (fit(m.coordinate_descent(eta), TURNS) for eta in (0.05, 0.02))
    yield Case(family, "coordinate descent", one, other=other, differ="η = 0.05, 0.02", instead=least(norms.l1),
               expected="min ℓ1")
    yield Case(family, "ε-stagewise", fit(m.stagewise(1e-3), TURNS), other=fit(m.stagewise(5e-4), TURNS),
               differ="ε = 10⁻³, 5·10⁻⁴", instead=least(norms.l1), expected="min ℓ1")
    yield Case("AdaGrad", "", fit(m.adagrad(0.5)), other=fit(m.adagrad(0.1)), differ="η = 0.5, 0.1")
    yield Case("Adam, RMSProp", "Adam", fit(m.adam(0.1)), other=fit(m.adam(0.01)), differ="η = 0.1, 0.01")


# --- Section 3 -----------------------------------------------------------------------------------------------------------

def section_3() -> Iterator[Case]:
    """Strictly monotone losses on separable data."""
    def part(method: Any, data: Data | None = None, loss: str = "exponential", start: Any = None) -> fb.Plan:
        return fb.Plan(*(data or apart()), loss=loss, method=method, start=start)
    gd, mirror, scaled, fall = m.gradient_descent, m.mirror_descent, steps.loss_scaled, steps.power
    bounded = steps.bounded(1e300)
    family = "gradient descent"
    yield Case(family, "steps η/L", part(gd(scaled(0.05))))
    yield Case(family, "classes η/L", part(gd(scaled(0.02)), classes(), "cross_entropy"))
    for name, method, loss in (("exponential", gd(0.01), "exponential"), ("logistic", gd(0.1), "logistic"),
                               ("sigmoid", gd(0.1), "sigmoid"), ("heavy ball", gd(0.05, 0.5), "logistic"),
                               ("Nesterov", gd(0.05, 0.5, 0.5), "logistic"), ("η/√t", gd(fall(0.1, 0.5)), "logistic")):
        yield Case(family, name, part(method, loss=loss), Far())
    yield Case(family, "stochastic", part(gd(0.1, batch=1, rng=0), on_axes(), "logistic"), Steps(300_000))
    yield Case(family, "flow", part(gd(0.1)), Flow(1e300))
    yield Case(family, "η/t²", part(gd(fall(0.1, 2))), other=part(gd(fall(0.02, 2))), differ="η = 0.1, 0.02",
               instead=widest(norms.l2), expected="ℓ2 max margin")
    yield Case(family, "probit", part(gd(0.05), loss="probit"), Far(1e9))
    yield Case(family, "long steps", part(gd(5.0), loss="logistic"), Far(1e9))
    heavy = part(gd(0.05), ([[1, 0.2], [0.5, 2], [3, 1]], np.ones(3)), fb.losses.polynomial(1))
    yield Case(family, "polynomial tail", heavy, Steps(3_000_000))
    yield Case(family, "exponential, long steps", part(gd(4.0), SWINGS), Steps(4), instead=widest(norms.l2),
               expected="ℓ2 max margin")
    one, other = (part(m.sharpness_aware(gd(scaled(0.05)), rho)) for rho in (0.5, 0.1))
    yield Case(family, "sharpness-aware", one, other=other, differ="ρ = 0.5, 0.1", instead=widest(norms.l2),
               expected="ℓ2 max margin")
    one, other = (part(m.projected(gd(eta), "ball")) for eta in (0.5, 0.1))
    yield Case(family, "projected on a ball", one, other=other, differ="η = 0.5, 0.1")
    yield Case("dual acceleration", "", part(m.dual_acceleration()))
    family = "steepest descent"
    for name, norm in (("ℓ1", norms.l1), ("ℓ1.5", norms.lp(1.5)), ("ℓ2", norms.l2), ("ℓ3", norms.lp(3)), ("ℓ∞", norms.linf),
                       ("group", norms.group(GROUPS))):
        yield Case(family, name, part(m.steepest_descent(norm, bounded)))
    yield Case(family, "quadratic", part(m.steepest_descent(norms.quadratic(D4), 0.01)), Far())
    search = m.steepest_descent("linf", steps.line_search())
    small = part(m.steepest_descent("linf", steps.loss_scaled(0.01)), SHORT)
    yield Case(family, "ℓ∞ line search", part(search, SHORT), Steps(20_000), small, "the steps = searched, η/L",
               widest(norms.linf), "ℓ∞ max margin")
    yield Case(family, "ℓ1.5 logistic", part(m.steepest_descent(norms.lp(1.5), 0.05), loss="logistic"), Far())
    for name, norm in (("spectral", norms.spectral(2, 3)), ("nuclear", norms.nuclear(2, 3))):
        yield Case(family, name, part(m.steepest_descent(norm, bounded), matrices()), Steps(30_000))
    one, other = (part(m.steepest_descent("linf", fall(eta, 2))) for eta in (0.1, 0.02))
    yield Case(family, "η/t²", one, other=other, differ="η = 0.1, 0.02", instead=widest(norms.linf),
               expected="ℓ∞ max margin")
    family = "coordinates"
    near = [[1.0, 1.2]], [1]
    one, other = (part(m.coordinate_descent(0.1, ties=ties, tie_tol=0.3), near) for ties in ("first", "average"))
    yield Case(family, "wide ties", one, other=other, differ="ties first, average", instead=widest(norms.l1),
               expected="ℓ1 max margin")
    yield Case(family, "ties averaged", part(m.coordinate_descent(bounded, ties="average")))
    yield Case(family, "line search shrunk", part(m.coordinate_descent(steps.line_search(), shrinkage=0.5), CYCLE),
               Steps(20_000))
    search = m.coordinate_descent(steps.line_search())
    yield Case(family, "AdaBoost", part(search, CYCLE), Steps(20_000), part(search, CYCLE, start=0.1 * np.eye(8)[3]),
               "w₄(0) = 0, 0.1", widest(norms.l1), "ℓ1 max margin")
    yield Case(family, "ε-stagewise", part(m.stagewise(1.0)), other=part(m.stagewise(0.1)), differ="ε = 1, 0.1",
               instead=widest(norms.l1), expected="ℓ1 max margin")
    family = "fixed length"
    yield Case(family, "sign", part(m.sign_descent(fall(0.1, 0.5))))
    yield Case(family, "ℓ3", part(m.steepest_descent(norms.lp(3), fall(1.0, 0.5), normalised=True)))
    yield Case(family, "Muon", part(m.muon(fall(1.0, 0.5)), matrices()), Steps(30_000))
    yield Case(family, "Muon classes", part(m.muon(fall(0.1, 0.5)), classes(), "cross_entropy"), Steps(30_000))
    for name, method in (("Signum", m.signum(fall(0.1, 0.5))), ("Lion", m.lion(fall(0.1, 0.5))),
                         ("NGD with momentum", m.steepest_descent("l2", fall(1.0, 0.5), True, momentum=0.9))):
        yield Case(family, name, part(method))
    yield Case(family, "Muon ns5", part(m.muon(fall(1.0, 0.5), orthogonalise="ns5"), matrices()), Steps(30_000),
               instead=widest(norms.spectral(2, 3)), expected="spectral max margin")
    one, other = (part(m.sign_descent(steps.cosine(eta, 1000))) for eta in (1.0, 0.1))
    yield Case(family, "sign cosine", one, other=other, differ="η = 1, 0.1", instead=widest(norms.linf),
               expected="ℓ∞ max margin")
    yield Case(family, "sign constant", part(m.sign_descent(1.0)), other=part(m.sign_descent(0.1)), differ="η = 1, 0.1",
               instead=widest(norms.linf), expected="ℓ∞ max margin")
    alone = [[1, 0.5], [3, 1], [1.5, 4]], np.ones(3)                     # one support vector: the metric has its say
    one, other = (part(m.adagrad(eta, G0=1.0), alone) for eta in (0.1, 0.5))
    yield Case("AdaGrad", "G(∞) as at t = 10⁶", one, Far(after=1_000_000), other, "η = 0.1, 0.5")
    family = "Adam, RMSProp"
    yield Case(family, "Adam ε = 0", part(m.adam(fall(0.1, 0.5), beta2=0.99, eps=0)))
    yield Case(family, "Adam ε = 0, batch 1", part(m.adam(fall(0.1, 0.5), eps=0, batch=1, rng=0)), Steps(1_000_000))
    yield Case(family, "RMSProp ε = 0", part(m.rmsprop(fall(0.1, 0.5), eps=0)))
    yield Case(family, "Adam ε = 10", part(m.adam(fall(1.0, 0.5), eps=10), ([[2, 1]], [1])), Steps(300_000))
    yield Case(family, "RMSProp ε = 1", part(m.rmsprop(0.1, eps=1.0), on_axes()), Steps(1_000_000))
    one, other = (part(m.adam(eta, eps=0)) for eta in (0.1, 0.01))
    yield Case(family, "Adam ε = 0, constant", one, Steps(300_000, -1e4), other, "η = 0.1, 0.01", widest(norms.linf),
               "ℓ∞ max margin")
    for name, make in (("NAdam", m.nadam), ("AdaDelta", m.adadelta), ("AMSGrad", lambda eta: m.adam(eta, amsgrad=True))):
        one, other = (part(make(eta)) for eta in (0.5, 0.05))
        yield Case(family, name, one, other=other, differ="η = 0.5, 0.05")
    family = "mirror descent"
    for name, potential in (("power 1.5", psi.power(1.5)), ("power 3", psi.power(3)), ("squared ℓ1.5", psi.squared_lp(1.5)),
                            ("hypentropy 0.1", psi.hypentropy(0.1)), ("quadratic", psi.quadratic(D4))):
        yield Case(family, name, part(mirror(potential, 0.01)), Far())
    yield Case(family, "flow cosh", part(mirror("cosh", 0.01)), Flow(1e50))
    own = replace(psi.power(3), name="own", horizon=None)
    one, other = (part(mirror(own, scaled(0.2)), start=start) for start in (None, [1, -1, 1, -1]))
    yield Case(family, "own potential", one, other=other, differ="w(0) = 0, ±1")
    yield Case(family, "flow entropy", part(mirror("entropy", 0.01), ([[2, 1], [1, 3]], [1, 1])), Flow(1e200))
    whole = psi.spectral_entropy(2)
    one, other = (part(mirror(whole, 0.02), CORNERS, start=start) for start in (np.eye(2), np.diag([1.0, 0.1])))
    yield Case(family, "spectral entropy", one, Steps(300_000), other, "W(0)")
    plane = np.ones((1, 4)), [1.0]
    yield Case(family, "Σ w = 1", part(mirror("euclidean", scaled(0.1), constraint=plane)), other=part(
        mirror("euclidean", scaled(0.05), constraint=plane)), differ="η = 0.1, 0.05")
    family = "with momentum"
    yield Case(family, "dual hypentropy 0.1", part(mirror(psi.hypentropy(0.1), scaled(0.0025), dual_momentum=0.5)))
    yield Case(family, "primal cosh", part(mirror("cosh", 0.1, primal_momentum=0.5)), Steps(300_000), part(
        mirror("cosh", 0.01, primal_momentum=0.5)), "η = 0.1, 0.01")
    family = "natural gradient"
    yield Case(family, "flow hypentropy 0.1", part(m.natural_gradient(psi.hypentropy(0.1), 0.1)), Flow(1e300))
    yield Case(family, "quadratic", part(m.natural_gradient(psi.quadratic(D4), 0.01)), Far())
    yield Case(family, "hypentropy 1", part(m.natural_gradient(psi.hypentropy(1.0), 0.1)), Steps(300_000), part(
        m.natural_gradient(psi.hypentropy(1.0), 0.01)), "η = 0.1, 0.01")


# --- off separable data --------------------------------------------------------------------------------------------------

def off_section_3() -> Iterator[Case]:
    """Strictly monotone losses on data that overlap, or are separable in part."""
    family, y = "not separable", np.ones(5)
    clash = np.array([[1.0, 0.2, 0.5], [-1, 0.3, 1.0], [0.1, -1, -2.0], [0.5, 0.5, -0.5], [-1, -0.5, 0.2]])
    partly = np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0], [-2, 0, 0, 0], [1, 1, 2, 0.5], [0, 3, 1, 3]])
    metric = m.steepest_descent(norms.quadratic(np.diag(D4[:3])), 0.05)
    for loss in ("logistic", "exponential"):
        yield Case(family, loss, fb.Plan(clash, y, loss=loss, method=m.gradient_descent(0.05)))
        yield Case(family, loss, fb.Plan(partly, y, loss=loss, method=m.gradient_descent(0.05)), Far(1e4))
    yield Case(family, "quadratic norm", fb.Plan(clash, y, loss="logistic", method=metric))
    X, labels = np.random.default_rng(0).normal(size=(40, 2)), np.random.default_rng(1).integers(0, 3, 40)
    yield Case(family, "3 classes", fb.Plan(X, labels, loss="cross_entropy", method=m.gradient_descent(0.03)))
    # contexts and the tokens that follow: two on the first, 3 : 2
    tokens = fb.Plan(np.eye(3)[[0] * 5 + [1] * 2 + [2] * 2], [0, 0, 0, 1, 1, 2, 2, 3, 3], loss="cross_entropy",
                     method=m.gradient_descent(0.3))
    yield Case(family, "next tokens", tokens, Steps(5_000_000))
    one, other = (fb.Plan(clash, y, loss="logistic", method=m.gradient_descent(0.05, beta)) for beta in (0.5, 0.9))
    yield Case(family, "momentum", one, other=other, differ="β = 0.5, 0.9")


# --- decoupled weight decay ----------------------------------------------------------------------------------------------

def decayed() -> Iterator[Case]:
    """w⁺ = (1 − λη)w + ηΔ."""
    def part(method: Any, loss: str = "logistic", **options: Any) -> fb.Plan:
        return fb.Plan(*apart(), loss=loss, method=method, **options)
    fall, family = steps.power, "decoupled decay"
    for name, method in (("sign", m.sign_descent(fall(0.5, 0.8), weight_decay=1)), ("Lion", m.lion(fall(0.5, 0.8), weight_decay=1)),
                         ("NGD", m.steepest_descent("l2", fall(0.5, 0.8), True, momentum=0.9, weight_decay=1)),
                         ("AdamW ε = 0", m.adamw(fall(0.1, 0.8), eps=0, weight_decay=1.0))):
        # (Adam forgets by 1/(1 − β₂) steps, so that it is the last to come near)
        yield Case(family, name, part(method), Steps(3_000_000 if method.moments else 100_000))
    one, other = (part(m.signum(0.02, weight_decay=1), start=start, model=models.diagonal(2)) for start in
                  (np.ones(8), np.repeat([1.0, -1.0], 4)))
    yield Case(family, "diagonal depth 2", one, Steps(10_000), other, "u(0)")
    one, other = (part(m.signum(eta, weight_decay=1), "sigmoid") for eta in (0.02, 0.01))
    yield Case(family, "sigmoid", one, other=other, differ="η = 0.02, 0.01")
    one, other = (part(m.steepest_descent("linf", eta, weight_decay=1)) for eta in (0.02, 0.01))
    yield Case(family, "ℓ∞ with ‖∇L‖₁", one, other=other, differ="η = 0.02, 0.01")


# --- Section 4 -----------------------------------------------------------------------------------------------------------

def section_4() -> Iterator[Case]:
    """Models w = F(u)."""
    def net(model: Any, data: Data, start: Any, loss: str = "exponential", method: Any = None,
            eta: float = 0.001) -> fb.Plan:
        method = method or m.gradient_descent(eta if loss == "squared" else steps.loss_scaled(eta))
        return fb.Plan(*data, loss=loss, method=method, model=model, start=start)
    deep, rng = Steps(1_000_000, -1e30), np.random.default_rng(3)
    regression = rng.normal(size=(3, 6)), np.random.default_rng(4).normal(size=3)
    two, plain, three = models.diagonal(2, signed=True), models.diagonal(2), models.diagonal(3, signed=True)
    family = "diagonal depth 2"
    yield Case(family, "signed", net(two, signals(), two.start(0.3)), deep)
    yield Case(family, "unsigned", net(plain, signals(), plain.start(0.3, rng=1)), deep)
    for scale in (0.1, 1.0):
        one, finer = (net(two, regression, two.start(scale), "squared", eta=eta) for eta in (2e-4, 1e-4))
        yield Case(family, f"α = {scale:g}", one, Steps(1_000_000), finer=finer)
    yield Case(family, "flow α = 0.1", net(two, regression, two.start(0.1), "squared"), Flow())
    inside = regression[0], regression[0] @ np.linspace(0.5, 1.5, 6)       # by some w > 0: the signs that balance keeps
    one, finer = (net(plain, inside, np.full(12, 0.3), "squared", eta=eta) for eta in (2e-4, 1e-4))
    yield Case(family, "balanced start", one, Steps(1_000_000), finer=finer)
    family = "diagonal depth 3"
    yield Case(family, "signed", net(three, signals(), three.start(0.3), eta=1e-5), Steps(3_000_000, -1e7), net(
        three, signals(), 0.3 * np.array([1, 1, 1, 9, 9, 9] * 2) / 5, eta=1e-5), "u(0)")
    one, finer = (net(three, regression, three.start(0.3), "squared", eta=eta) for eta in (2e-4, 1e-4))
    yield Case(family, "α = 0.3", one, Steps(1_000_000), finer=finer)
    yield Case(family, "flow α = 0.1", net(three, regression, three.start(0.1), "squared"), Flow())
    family = "UUᵀ"
    square, thin = models.symmetric(3), models.symmetric(2, 1)
    yield Case(family, "", net(square, symmetric_matrices(3, 5, 1), square.start(0.3)), deep)
    one, other = (net(models.symmetric(2), CORNERS, start) for start in ([0.3, 0, 0.1, 0], [0.3, 0, 0, 0.1]))
    yield Case(family, "U(0) of rank 1", one, deep, other, "the rank of U(0)", lambda trace: fb.psd_margin(*CORNERS),
               "max margin")
    yield Case(family, "one column", net(thin, CORNERS, [0.3, 0.1]), deep, net(thin, CORNERS, [0.1, -0.3]), "u(0)")
    one, finer = (net(square, commuting(), square.start(0.3), "squared", eta=eta) for eta in (2e-3, 1e-3))
    yield Case(family, "commuting", one, finer=finer)
    yield Case(family, "flow commuting", net(square, commuting(), square.start(0.3), "squared"), Flow())
    X, y = completion()
    X = (X + X.transpose(0, 2, 1)) / 2
    one, other = (net(square, (X, y), square.start(scale), "squared", eta=0.005) for scale in (1e-5, 1.0))
    yield Case(family, "3 × 3 completion", one, Steps(30_000), other, "u(0) = 10⁻⁵ I, I", least(norms.nuclear(3, 3)),
               "min nuclear norm")
    family = "UVᵀ"
    wide, rank_1, full = models.factorised(2, 3), models.factorised(2, 3, 1), models.factorised(3, 3)
    pixels = signals()[0].reshape(5, 2, 3), signals()[1]
    yield Case(family, "", net(wide, pixels, wide.start(0.01, rng=5)), deep)
    yield Case(family, "rank 1", net(rank_1, pixels, rank_1.start(0.3, rng=1)), deep, net(
        rank_1, pixels, rank_1.start(0.3, rng=2)), "u(0)")
    one, other = (net(full, completion(), full.start(scale), "squared", eta=0.005) for scale in (1e-5, 1.0))
    yield Case(family, "3 × 3 completion", one, Steps(30_000), other, "u(0) = 10⁻⁵ I, I", least(norms.nuclear(3, 3)),
               "min nuclear norm")
    two_by_two = models.factorised(2, 2)
    yield Case(family, "norms without end", net(two_by_two, DIVERGES, two_by_two.start(0.1), "squared", eta=0.02), Steps(
        1_000_000), instead=least(norms.nuclear(2, 2)), expected="min nuclear norm")
    family = "deep linear"
    for depth, eta, how in ((2, 0.001, deep), (3, 1e-5, Steps(1_000_000, -1e6))):
        linear = models.deep_linear(depth)
        yield Case(family, f"depth {depth}", net(linear, signals(), linear.start(0.3), eta=eta), how)
    linear = models.deep_linear(2)
    yield Case(family, "depth 2", net(linear, regression, linear.start(0.3), "squared"), other=net(
        linear, regression, linear.start(1.0), "squared"), differ="u(0) = 0.3 I, I")
    family = "convolutional"
    conv, conv_3, negative = models.convolutional(2), models.convolutional(3), ([[-1, -1, -1], [1, 0.5, -1]], [1, 1])
    yield Case(family, "depth 2", net(conv, signals(), conv.start(0.01, rng=5)), deep)
    yield Case(family, "depth 2 balanced start", net(conv, negative, conv.start(0.1)), deep, net(
        conv, negative, conv.start(0.1, rng=1)), "u(0) = balanced, not")
    one, other = (net(conv_3, signals(3, 3, 0), conv_3.start(1.0, rng=seed), eta=1e-5) for seed in (1, 2))
    yield Case(family, "depth 3", one, Steps(1_000_000, -1e7), other, "u(0)")
    yield Case(family, "depth 2", net(conv, regression, conv.start(0.3, rng=1), "squared"), other=net(
        conv, regression, conv.start(1.0, rng=1), "squared"), differ="u(0)")
    family = "ReLU"
    relu, eye = models.relu([-1, 0, 1, 2], 6), np.eye(4)
    for loss, data in (("exponential", (eye, [1, -1, -1, 1])), ("squared", (eye[[0, 1, 3]], [1, -1, 1]))):
        one, other = (net(relu, data, relu.start(0.5, rng=seed), loss, eta=0.01) for seed in (0, 1))
        yield Case(family, "6 units, d = 1", one, Steps(300_000, -1e8), other, "u(0)")
    relu = models.relu([[0, 0], [1, 1], [0, 1], [1, 0]], 50, offset=False)
    xor, start = (eye, [-1, -1, 1, 1]), relu.start(0.07, rng=0)
    yield Case(family, "50 units, d = 2", net(relu, xor, start, eta=5e-4), Steps(100_000, -1e5))
    one, other = (net(relu, (eye, [0, 0, 1, 1]), relu.start(0.07, rng=seed), "squared", m.gradient_descent(
        0.02, weight_decay=0.01)) for seed in (0, 1))
    yield Case(family, "decay, d = 2", one, Steps(20_000), other, "u(0)")
    family = "attention"
    # tokens (place, worth): of the first sample the best, a good one across the worst; of the second all are worth the same
    tokens = [[[-1, 0.2], [0, 0.05], [1, 0.1]], [[-1, 0.1], [0, 0.1], [1, 0.1]]]
    head = models.frozen(models.attention(tokens), 1, [0, 10])
    one, other = (net(head, (np.eye(2), [1, 1]), [side, 0], eta=0.1) for side in (-3, 3))
    yield Case(family, "v held", one, Steps(100_000), other, "q(0)")
    family = "other methods"
    for loss, data, rule in (("exponential", signals(), steps.loss_scaled), ("squared", regression, steps.constant)):
        one, other = (net(two, data, two.start(0.3), loss, m.adagrad(rule(eta))) for eta in (0.1, 0.01))
        yield Case(family, "AdaGrad, diagonal depth 2", one, Steps(100_000, -1e8), other, "η = 0.1, 0.01")
    fall = steps.power(0.1, 0.55)                                          # o(t^−½), as degree 2 asks
    for name, method, how in (
            ("ℓ1.5", m.steepest_descent(norms.lp(1.5), steps.loss_scaled(2e-4)), Steps(1_000_000, -1000)),
            ("ℓ∞", m.steepest_descent("linf", steps.loss_scaled(1e-5)), Steps(1_000_000, -3000)),
            ("Signum", m.signum(fall), Steps(1_000_000)), ("Adam ε = 0", m.adam(fall, beta2=0.99, eps=0), Steps(3_000_000)),
            ("ℓ3", m.steepest_descent(norms.lp(3), fall, normalised=True), Steps(300_000))):
        yield Case(family, f"{name}, diagonal depth 2", net(two, signals(), two.start(0.3), method=method), how)
    yield Case(family, "RMSProp ε = 10, diagonal depth 2", net(plain, ([[2, 1]], [1]), plain.start(0.5, rng=0), method=m.rmsprop(
        1.0, eps=10)), Steps(300_000))
    family = "weight decay"
    decayed, lean = m.gradient_descent(0.002, weight_decay=0.1), np.geomspace(0.6, 0.1, 6)
    one, other = (net(three, signals(), np.tile(start, 2), method=decayed) for start in (lean, lean[::-1]))
    yield Case(family, "diagonal depth 3", one, other=other, differ="u(0)")
    decayed = m.gradient_descent(0.01, weight_decay=0.1)
    for loss, data in (("logistic", signals()), ("exponential", signals(3, 30, 2))):
        yield Case(family, f"linear {loss}", net(models.linear, data, None, loss, decayed))
    one, other = (net(models.linear, regression, start, "squared", decayed) for start in (None, np.ones(6)))
    yield Case(family, "linear", one, other=other, differ="u(0) = 0, 1", instead=ridge, expected="the ridge path")


def cases() -> list[Case]:
    """All of them, by section."""
    return [*section_2(), *section_3(), *off_section_3(), *decayed(), *section_4()]
