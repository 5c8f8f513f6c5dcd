"""`python -m dehw`: the command line."""

import sys

from dehw.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
