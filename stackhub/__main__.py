"""``python -m stackhub``: the command line."""

import sys

from stackhub.cli import main

if __name__ == "__main__":
    sys.exit(main())
