"""C11, compiled by gcc or clang."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type, written
from app.learning.languages.callers import filled
from app.learning.languages.compiled import built, found, strict, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install a C compiler (Debian and Ubuntu: apt install gcc libc6-dev)."
_SCALARS = {"int": "long long", "float": "double", "str": "const char *", "bool": "bool"}
# A solution is refused for what can only be a mistake, and may have a main function of its own.
_STRICT = ("-Werror=return-type", "-Werror=return-local-addr", "-Werror=int-conversion",
           "-Werror=implicit-function-declaration", "-Werror=incompatible-pointer-types",
           "-Dmain=tl_their_main")  # fmt: skip
_INCLUDES = """#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""


class C:
    name: LanguageName = "c"
    title = "C"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(_spaced(_named(parse_type(p.type)), p.name) for p in signature.params)
        return f"{_spaced(_named(parse_type(signature.returns)), signature.name)}({params or 'void'})"

    def stub(self, signature: Signature) -> str:
        given = "".join(f"// {line}\n" for line in _definitions(signature))
        given = f"// There already, as are the usual headers:\n{given}" if given else ""
        if (returns := parse_type(signature.returns)).kind == "optional":
            given += f"// NULL says that there is no {returns.inner.kind}.\n"
        return f"{given}{self.declaration(signature)} {{\n    \n}}\n"

    def empty(self, signature: Signature) -> str:
        empty = _spaced(_named(parse_type(signature.returns)), "empty")
        return f"{self.declaration(signature)} {{\n    {empty} = {{0}};\n    return empty;\n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the compiler is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        types = [parse_type(p.type) for p in signature.params]
        returns = parse_type(signature.returns)
        reads = "".join(f"        {_spaced(_named(t), f'a{i}')} = {_reader(t)}();\n" for i, t in enumerate(types))
        arguments = ", ".join(f"a{i}" for i in range(len(types)))
        needed = _each([*types, returns])
        source = (
            f"#undef main\n{filled('printed.h', NONCE=json.dumps(nonce))}{filled('caller.c', NONCE=json.dumps(nonce))}"
            f"{''.join(_reading(t) + _writing(t) for t in needed)}"
            "int main(void) {\n    tl_open();\n    long long count = tl_read_int();\n"
            "    for (long long number = 0; number < count; number++) {\n"
            f"{reads}        tl_begin(number);\n        double started = tl_now();\n"
            f"        {_spaced(_named(returns), 'value')} = {signature.name}({arguments});\n"
            f'        fprintf(tl_out, "%s{{\\"case\\":%lld,\\"value\\":", {json.dumps(nonce)}, number);\n'
            f"        {_writer(returns)}(value);\n        tl_end(started);\n    }}\n    return 0;\n}}\n"
        )
        files = {
            "solution.c": code.encode(errors="replace"), "caller.c": source.encode(),
            "types.h": "\n".join([_INCLUDES, *_definitions(signature), f"{self.declaration(signature)};\n"]).encode(),
            "input": tokens(signature, inputs),
        }  # fmt: skip
        build = _build("-include", "$here/types.h", *strict(code, _STRICT), "$here/solution.c", "$here/caller.c")
        return built(files, build=build, run=("$TMPDIR/solution",), nonce=nonce)

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        files = {"solution.c": code.encode(errors="replace")}
        return built(files, build=_build("-w", "$here/solution.c"), run=("$TMPDIR/solution",), nonce=nonce, stdin=stdin)

    def show(self, value: object) -> str:
        return written(value, null="NULL")


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("gcc", "clang")


def _build(*options: str) -> list[str]:
    compiler = _compiler()
    assert compiler is not None
    return [compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g0", "-o", "$TMPDIR/solution", *options, "-lm"]


def _mangled(kind: Type) -> str:
    return kind.kind if kind.of is None else f"{kind.kind}_{_mangled(kind.of)}"


def _named(kind: Type) -> str:
    """The type as C spells it; an optional is a pointer that may be NULL."""
    if kind.of is None:
        return _SCALARS[kind.kind]
    if kind.kind == "optional":
        return _named(kind.inner) if kind.inner.kind == "str" else f"{_named(kind.inner)} *".replace("* *", "**")
    return _mangled(kind)


def _spaced(type_name: str, name: str) -> str:
    return f"{type_name}{name}" if type_name.endswith("*") else f"{type_name} {name}"


def _each(types: Sequence[Type]) -> list[Type]:
    """All types that these are made of, inner ones first, each once."""
    ordered: dict[Type, None] = {}
    for kind in types:
        if kind.of is not None:
            ordered |= dict.fromkeys(_each([kind.of]))
        ordered[kind] = None
    return list(ordered)


def _definitions(signature: Signature) -> list[str]:
    types = [parse_type(p.type) for p in signature.params] + [parse_type(signature.returns)]
    lines = []
    for kind in _each(types):
        if kind.kind == "list":
            lines.append(
                f"typedef struct {{ {_spaced(_named(kind.inner), '*items')}; size_t length; }} {_mangled(kind)};"
            )
        elif kind.kind == "map":
            lines.append(
                f"typedef struct {{ const char **keys; {_spaced(_named(kind.inner), '*values')}; size_t length; }} "
                f"{_mangled(kind)};"
            )
    return lines


def _reader(kind: Type) -> str:
    return f"tl_read_{_mangled(kind)}"


def _writer(kind: Type) -> str:
    return f"tl_write_{_mangled(kind)}"


def _reading(kind: Type) -> str:
    if kind.of is None:
        return ""
    head = f"static {_spaced(_named(kind), _reader(kind))}(void) {{\n"
    inner = kind.inner
    if kind.kind == "optional":
        if inner.kind == "str":
            return f"{head}    return tl_read_bool() ? tl_read_str() : NULL;\n}}\n"
        return (
            f"{head}    if (!tl_read_bool()) return NULL;\n"
            f"    {_spaced(_named(inner), '*value')} = malloc(sizeof *value);\n"
            f"    *value = {_reader(inner)}(); return value;\n}}\n"
        )
    filled = "v.items[i]" if kind.kind == "list" else "v.values[i]"
    rooms = "v.items = calloc(v.length + 1, sizeof *v.items);"
    if kind.kind == "map":
        rooms = "v.keys = calloc(v.length + 1, sizeof *v.keys); v.values = calloc(v.length + 1, sizeof *v.values);"
    key = "v.keys[i] = tl_read_str(); " if kind.kind == "map" else ""
    return (
        f"{head}    {_named(kind)} v; v.length = (size_t)tl_read_int(); {rooms}\n"
        f"    for (size_t i = 0; i < v.length; i++) {{ {key}{filled} = {_reader(inner)}(); }}\n    return v;\n}}\n"
    )


def _writing(kind: Type) -> str:
    if kind.of is None:
        return ""
    head = f"static void {_writer(kind)}({_spaced(_named(kind), 'v')}) {{\n"
    inner = kind.inner
    if kind.kind == "optional":
        value = "v" if inner.kind == "str" else "*v"
        return f'{head}    if (v) {_writer(inner)}({value}); else fputs("null", tl_out);\n}}\n'
    opens, closes, item = ("[", "]", "v.items[i]") if kind.kind == "list" else ("{", "}", "v.values[i]")
    key = "" if kind.kind == "list" else "tl_write_str(v.keys[i]); fputc(':', tl_out); "
    return (
        f"{head}    fputc('{opens}', tl_out);\n"
        f"    for (size_t i = 0; i < v.length; i++) {{ if (i) fputc(',', tl_out); {key}{_writer(inner)}({item}); }}\n"
        f"    fputc('{closes}', tl_out);\n}}\n"
    )
