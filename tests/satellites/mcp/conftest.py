"""The SDK is optional: without it, what speaks the protocol is not collected."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("mcp")  # a folder of this name is a package to Python, too
    collect_ignore = []
except PackageNotFoundError:
    collect_ignore = ["test_mcp_server.py"]
