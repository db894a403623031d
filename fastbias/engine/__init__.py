"""The engine: the calling convention of pieces, the disk cache, vectors, and the one compiled loop
with its passes.
"""
