"""The guard of a watched program: looks at what each call gives, as it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recorder import Recorder


class Guard:
    """Makes calls, and stops where one gives what the guard looks for."""

    def __init__(self, torch: Any, guard: str, called: Callable[..., Any], recorder: Recorder | None) -> None:
        self.torch, self.guard, self.called, self.recorder = torch, guard, called, recorder

    def __call__(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call."""
        return self.called(func, args, kwargs)
