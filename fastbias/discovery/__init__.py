"""What does an optimiser prefer? Axioms of choice, names of potentials and norms, and the hunt for
counter-examples."""
from fastbias.discovery import axioms

__all__ = ["axioms"]
