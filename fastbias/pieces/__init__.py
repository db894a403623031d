"""What a run is put together from: losses, norms, potentials, models, methods, step rules, and the
laws they obey.
"""
