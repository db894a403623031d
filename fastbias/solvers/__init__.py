"""Limits solved to a certificate: margins, projections, minimum norms, regularisation paths, and
who maximises what.
"""
