"""Data: readers for the user's own tables, the paper's examples, seeded random problems, and
features of inputs.
"""
from fastbias.data.tables import LABELS, Table, example, random_regression, read

__all__ = ["LABELS", "Table", "example", "random_regression", "read"]
