"""``python -m fastbias``."""
import io
import sys

from fastbias.running.cli import main

for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        # in an encoding without −, or a name of a file that is no text
        stream.reconfigure(errors="backslashreplace")
sys.exit(main())
