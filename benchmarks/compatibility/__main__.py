"""``python -m benchmarks.compatibility``."""

import signal
import sys

from benchmarks.compatibility.cli import main

signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # an exception kills the running suite
sys.exit(main())
