"""Data: readers for the user's own tables, the paper's examples, seeded random problems, and
features of inputs.
"""
from fastbias.data.responses import LABELS
from fastbias.data.tables import CATEGORIES, MISSING, Table, example, random_regression, read

__all__ = ["CATEGORIES", "LABELS", "MISSING", "Table", "example", "random_regression", "read"]
