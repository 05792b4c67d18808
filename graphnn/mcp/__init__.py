"""Graphs for assistants: a server of the Model Context Protocol whose tools ask a debugger.

It needs the protocol's official SDK, the package `mcp`. The tools are in `tools`, without it; `server` speaks to it.
"""

from .files import Folder as Folder
from .server import serve as serve
from .server import server_of as server_of
from .tools import Refusal as Refusal
from .tools import Tools as Tools
