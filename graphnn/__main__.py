"""``python -m graphnn``."""

import sys

import graphnn

sys.exit(graphnn.cli.main())
