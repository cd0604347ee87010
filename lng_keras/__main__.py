"""python -m lng_keras cost | poc | export: see `lng_keras/adopt/cli.py`."""

import sys

from lng_keras.adopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
