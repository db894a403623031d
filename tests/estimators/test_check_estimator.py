"""What scikit-learn asks of an estimator: all of it, with nothing that is expected to fail."""
import pytest

from tests.helpers import JIT

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.utils.estimator_checks import parametrize_with_checks

from fastbias.sklearn import ImplicitBiasClassifier, MaxMarginClassifier, MinimumNormRegressor

# (runs take long without the compiler, and other arguments meet the same checks)
EVERY = [MaxMarginClassifier(), MinimumNormRegressor(), *[ImplicitBiasClassifier(steps=1000)] * JIT]
MORE = [ImplicitBiasClassifier(), MaxMarginClassifier("l1", fit_intercept=False), MaxMarginClassifier(1.5), MinimumNormRegressor("l1"),
        MinimumNormRegressor(fit_intercept=False), ImplicitBiasClassifier("sign", steps=2000),
        ImplicitBiasClassifier("coordinate", steps=2000, fit_intercept=False, loss="exponential"),
        ImplicitBiasClassifier(steps=500, loss="cross_entropy")]
# nothing separates most data of theirs
told = pytest.mark.filterwarnings("ignore::fastbias.sklearn.NotSeparableWarning")


@told
@parametrize_with_checks(EVERY)
def test_scikit_learn_finds_nothing_amiss(estimator, check):
    check(estimator)


@told
@pytest.mark.slow
@pytest.mark.long
@parametrize_with_checks(MORE)
def test_nor_with_other_arguments(estimator, check):
    check(estimator)
