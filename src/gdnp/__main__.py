"""``python -m gdnp``: the command line."""

import sys

from gdnp.cli import main

if __name__ == "__main__":
    sys.exit(main())
