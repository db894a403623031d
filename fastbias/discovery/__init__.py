"""What does an optimiser prefer? Axioms of choice, names of potentials and norms, and the hunt for
counter-examples.
"""
from fastbias.discovery import axioms, bridges
from fastbias.discovery.hunting import Conjecture, Found, hunt
from fastbias.discovery.identifying import Identity, identify

__all__ = ["Conjecture", "Found", "Identity", "axioms", "bridges", "hunt", "identify"]
