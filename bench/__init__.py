"""What a step costs: ``pytest --benchmark-only``, and the table against C, JAX and NumPy: ``python -m bench.table``."""
