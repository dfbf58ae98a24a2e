"""`python -m benchmarks.orders`."""

import sys

from benchmarks.orders.cli import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")
