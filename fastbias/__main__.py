"""``python -m fastbias``, and the script ``fastbias``."""
import io
import sys

from fastbias.running.cli import main


def script() -> int:
    """Run the command line on what the shell hands over; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # in an encoding without −, or a name of a file that is no text
            stream.reconfigure(errors="backslashreplace")
    return main()


if __name__ == "__main__":
    sys.exit(script())
