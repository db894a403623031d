"""Names that there are not: what somebody most likely meant is named, and can be written as it stands."""
import re

import pytest

import fastbias as fb

X, Y, GD = [[1.0, 2.0], [3.0, 5.0]], [1, -1], fb.methods.gradient_descent(0.1)


def asked(**options):
    return fb.Plan(X, Y, **{"loss": "logistic", "method": GD} | options)


@pytest.mark.parametrize(("call", "told"), [
    (lambda: fb.max_margin(X, Y, "l3"), ": write fb.norms.lp(3)"),
    (lambda: fb.max_margin(X, Y, "l4/3"), ": write fb.norms.lp(4/3)"),
    (lambda: fb.max_margin(X, Y, "l1.5"), ": write fb.norms.lp(1.5)"),
    (lambda: fb.max_margin(X, Y, "L2"), " (did you mean 'l2'?)"),
    (lambda: fb.max_margin(X, Y, "max"), " (did you mean 'linf'?)"),
    (lambda: fb.max_margin(X, Y, "spectral"), ": write fb.norms.spectral(...)"),
    (lambda: fb.max_margin(X, Y, "zebra"), ""),
    (lambda: fb.max_margin(X, Y, "l0"), ""),
    (lambda: asked(loss="hubr"), ": write fb.losses.huber(...)"),
    (lambda: asked(loss="mse"), " (did you mean 'squared'?)"),
    (lambda: asked(loss="exp"), " (did you mean 'exponential'?)"),
    (lambda: asked(loss="cross-entropy"), " (did you mean 'cross_entropy'?)"),
    (lambda: asked(method="adam"), ": write fb.methods.adam(...)"),
    (lambda: asked(method="SGD"), ": write fb.methods.gradient_descent(...)"),
    (lambda: asked(model="diagonl"), ": write fb.models.diagonal(...)"),
    (lambda: fb.methods.mirror_descent("kl", 0.1), " (did you mean 'entropy'?)"),
    (lambda: fb.methods.mirror_descent("hypentropi", 0.1), ": write fb.potentials.hypentropy(...)"),
])
def test_what_was_meant_is_named(call, told):
    with pytest.raises((ValueError, TypeError), match=re.escape(told) + "$") as raised:
        call()
    sentence = str(raised.value)
    written = re.search(r"write (fb\.\w+\.\w+)", sentence)
    if written:                                           # and there is such a thing
        assert callable(eval(written[1], {"fb": fb}))
    if not told:
        assert re.search(r"got '\w+'$", sentence)
