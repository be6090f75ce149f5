"""YAML as people write it for us: what stands twice, or would grow without end, is refused."""

from typing import Any

import yaml

MOST_NAMES = 200  # of one mapping, that are looked at for one that stands twice
LONGEST_UNLOOKED_AT = 10_000  # characters, which cannot be nested so deeply that libyaml's stack ends
DEEPEST = 100
MOST_NODES = 200_000  # once what is referred to stands in its place


def parse(text: str) -> Any:  # Any: YAML
    """
    Raises:
        yaml.YAMLError: it is no YAML, a name stands twice in a mapping, or its references make too much of it.
        RecursionError: it is nested too deeply.
    """
    if len(text) > LONGEST_UNLOOKED_AT:
        _check_depth(text)
    loader = _Strict(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _nodes(node, {}) > MOST_NODES:
            raise yaml.YAMLError(f"it holds more than {MOST_NODES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # Any: the one that is there
    """Refuses a name that stands twice in a mapping, of which the second would count alone. libyaml's parser takes a
    tenth of the time, and is as safe."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None) if len(names) < MOST_NAMES else None
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} stands there twice", node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


def _check_depth(text: str) -> None:
    """libyaml composes what is nested by calling itself, and takes the process with it where its stack ends."""
    depth = 0
    for event in yaml.parse(text, Loader=_Strict):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise RecursionError


def _nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for. One that refers to itself counts once."""
    if id(node) not in known:
        known[id(node)] = 1
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        inner = parts if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else ()
        known[id(node)] = 1 + sum(_nodes(part, known) for part in inner)
    return known[id(node)]
