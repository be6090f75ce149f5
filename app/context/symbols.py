"""What a source file defines, by tree-sitter: functions, classes, methods and the like with their lines."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from tree_sitter import Language, Node, Parser

MOST_DEPTH = 60

# suffix -> (module of the grammar, function that returns it)
_GRAMMARS = {
    ".py": ("tree_sitter_python", "language"),
    ".js": ("tree_sitter_javascript", "language"),
    ".jsx": ("tree_sitter_javascript", "language"),
    ".mjs": ("tree_sitter_javascript", "language"),
    ".cjs": ("tree_sitter_javascript", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".java": ("tree_sitter_java", "language"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".c": ("tree_sitter_c", "language"),
    ".h": ("tree_sitter_c", "language"),
    ".cpp": ("tree_sitter_cpp", "language"),
    ".cc": ("tree_sitter_cpp", "language"),
    ".hpp": ("tree_sitter_cpp", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
    ".sh": ("tree_sitter_bash", "language"),
    ".bash": ("tree_sitter_bash", "language"),
}

_KINDS = {
    "function_definition": "function",
    "function_declaration": "function",
    "function_item": "function",
    "generator_function_declaration": "function",
    "method_definition": "method",
    "method_declaration": "method",
    "method": "method",
    "singleton_method": "method",
    "constructor_declaration": "method",
    "class_definition": "class",
    "class_declaration": "class",
    "class_specifier": "class",
    "class": "class",
    "module": "module",
    "struct_specifier": "struct",
    "struct_item": "struct",
    "enum_item": "enum",
    "enum_declaration": "enum",
    "trait_item": "trait",
    "interface_declaration": "interface",
    "type_alias_declaration": "type",
    "type_spec": "type",
}


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A definition; ``line`` counts from 1."""

    name: str
    kind: str
    line: int


def symbols_of(path: PurePath, source: bytes) -> list[Symbol]:
    """Definitions in a file, in the order of their lines; empty for languages without a grammar here."""
    suffix = path.suffix.lower()
    if suffix not in _GRAMMARS:
        return []
    tree = _parser(suffix).parse(source)
    return list(_walk(tree.root_node, depth=0))


@lru_cache(maxsize=len(_GRAMMARS))
def _parser(suffix: str) -> Parser:
    module, function = _GRAMMARS[suffix]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


def _walk(node: Node, *, depth: int) -> Iterator[Symbol]:
    if depth > MOST_DEPTH:
        return
    for child in node.named_children:
        kind = _KINDS.get(child.type)
        name = _name_of(child) if kind else None
        if kind and name:
            yield Symbol(name=name, kind=kind, line=child.start_point[0] + 1)
        elif child.type == "variable_declarator" and _holds_function(child):
            bound = _name_of(child)
            if bound:
                yield Symbol(name=bound, kind="function", line=child.start_point[0] + 1)
        yield from _walk(child, depth=depth + 1)


def _name_of(node: Node) -> str | None:
    named = node.child_by_field_name("name")
    if named is None:  # C hides the name inside its declarator
        named = node.child_by_field_name("declarator")
        while named is not None and (inner := named.child_by_field_name("declarator")) is not None:
            named = inner
    if named is None or named.text is None:
        return None
    return named.text.decode(errors="replace")[:200]


def _holds_function(node: Node) -> bool:
    value = node.child_by_field_name("value")
    return value is not None and value.type in ("arrow_function", "function_expression", "function")
