"""Entry point of ``python -m benchmarks``."""

import sys

from benchmarks.cli import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted: no table written")
