"""Training runs: `fit`, `evaluate`, callbacks, checkpoints, history."""

from ..._util.lazy_loading import names_of_parent

__getattr__ = names_of_parent(__name__)
