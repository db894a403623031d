"""What does an optimiser prefer? Axioms of choice, names of potentials and norms, and the hunt for
counter-examples."""
from fastbias.discovery import axioms
from fastbias.discovery.identifying import Identity, identify

__all__ = ["Identity", "axioms", "identify"]
