"""Where things are: the root of the project, and the folders whose modules tests and programs share."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SHARED = [str(TESTS / folder) for folder in ("support", "ops", "execute", "inspector", "view", "house")]
