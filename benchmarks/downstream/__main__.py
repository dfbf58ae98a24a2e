"""``python -m benchmarks.downstream``."""

import sys

from benchmarks.downstream.cli import main

sys.exit(main())
