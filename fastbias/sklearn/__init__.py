"""The library as estimators of scikit-learn: maximum margins, what an optimiser picks, and minimum
norms, in pipelines and grid searches.

>>> from fastbias.sklearn import MaxMarginClassifier
>>> found = MaxMarginClassifier("l1").fit([[3, 0], [5, 1], [0, 0]], ["yes", "yes", "no"])
>>> print(found.coef_, found.intercept_, found.margin_, found.certified_, found.predict([[4, 1]]))
[[0.66666667 0.        ]] [-1.] 1.5 True ['yes']

They want scikit-learn, the extra ``fastbias[sklearn]``.
"""
from importlib import import_module

try:
    # (1.6 brought what its own estimators check data with to others)
    import_module("sklearn.utils.validation").validate_data  # noqa: B018
except (ImportError, AttributeError) as error:
    raise ImportError("fastbias.sklearn needs scikit-learn 1.6 or newer: pip install "
                      f"'fastbias[sklearn]' ({error})") from None

from fastbias.sklearn.base import NotSeparableWarning
from fastbias.sklearn.implicit_bias import ImplicitBiasClassifier
from fastbias.sklearn.maximum_margin import MaxMarginClassifier
from fastbias.sklearn.minimum_norm import MinimumNormRegressor

__all__ = ["ImplicitBiasClassifier", "MaxMarginClassifier", "MinimumNormRegressor",
           "NotSeparableWarning"]
