"""The chat: pages, cards and what they do, on the chat library.

What that library imports and we never use costs a second and 40 MB at every start, so it is kept from importing it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# A cloud service's telemetry; a protocol for tools, which .chainlit/config.toml turns off; websockets' client side and
# their manager for several servers.
UNUSED = {"traceloop": (), "traceloop.sdk": ("Traceloop",), "mcp": ("ClientSession",), "aiohttp": None, "redis": None}


@contextmanager
def unused_left_out() -> Iterator[None]:
    """While the chat library is imported: empty stand-ins for modules whose names it takes, and none for an optional
    one. What is imported later, by others, is real."""
    absent = {name: names for name, names in UNUSED.items() if name not in sys.modules}
    for name, names in absent.items():
        sys.modules[name] = None if names is None else _stand_in(name, names)  # type: ignore[assignment]  # as documented
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def _stand_in(name: str, names: tuple[str, ...]) -> ModuleType:
    module = ModuleType(name)
    for each in names:
        setattr(module, each, type(each, (), {}))
    return module
