"""The debugger in an editor: a server of the Debug Adapter Protocol."""

from .adapter import Adapter as Adapter
from .server import serve as serve
