"""JAX computes here: where it is not installed, nothing is collected (`make jax` installs it)."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("jaxlib")  # a folder of the name of jax is a package to Python, too
    collect_ignore_glob = []
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
