"""The paper's figures, each redrawn from real runs: ``python -m paper_figures.NAME``."""
