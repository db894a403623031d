"""``python -m fastbias``."""
import io
import sys

from fastbias.running.cli import main

for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")     # in an encoding without −, or a name of a file that is no text
sys.exit(main())
