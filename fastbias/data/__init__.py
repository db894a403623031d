"""Data: readers for the user's own tables, the paper's examples, seeded random problems, and
features of inputs.

>>> import fastbias as fb
>>> import pandas
>>> dose, kind, alive = [1.0, 2.0, None], ["a", "b", "a"], [0, 1, 1]
>>> table = pandas.DataFrame({"dose": dose, "kind": kind, "alive": alive})
>>> X, y = fb.data.read(table, target="alive", missing="drop", labels="binary")
>>> list(X.columns), X.to_numpy().tolist(), y.tolist()
(['dose', 'kind_b'], [[1.0, 0.0], [2.0, 1.0]], [-1.0, 1.0])
>>> fb.data.CATEGORIES, fb.data.LABELS, fb.data.MISSING
(('onehot', 'refuse'), ('binary', 'index'), ('drop', 'refuse'))
"""
from fastbias.data.responses import LABELS
from fastbias.data.tables import CATEGORIES, MISSING, Table, example, random_regression, read

__all__ = ["CATEGORIES", "LABELS", "MISSING", "Table", "example", "random_regression", "read"]
