"""``python -m fastbias``."""
import sys

from fastbias.cli import main

sys.exit(main())
