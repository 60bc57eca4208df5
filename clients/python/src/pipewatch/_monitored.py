"""The decorator `monitored`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pipewatch._run import Run

_F = TypeVar("_F", bound=Callable[..., object])


def monitored(start: Callable[[], Run]) -> Callable[[_F], _F]:
    """`start` creates the run of one call."""

    def decorate(function: _F) -> _F:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"pipewatch.monitored cannot report the generator function {name}, because a generator's work happens "
                "when it is iterated, perhaps never to its end. Use `with pipewatch.run(...)` around the iteration."
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with start():
                    return await function(*args, **kwargs)

            return cast(_F, call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with start():
                return function(*args, **kwargs)

        return cast(_F, call)

    return decorate
