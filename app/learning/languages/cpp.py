"""C++17, compiled by g++ or clang++."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type
from app.learning.languages.callers import filled
from app.learning.languages.compiled import built, found, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install a C++ compiler (Debian and Ubuntu: apt install g++)."
_SCALARS = {"int": "long long", "float": "double", "str": "string", "bool": "bool"}
_HEAD = """#include <algorithm>
#include <cmath>
#include <deque>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>
using namespace std;
"""


class Cpp:
    name: LanguageName = "cpp"
    title = "C++"

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_named(parse_type(p.type))} {p.name}" for p in signature.params)
        return f"{_named(parse_type(signature.returns))} {signature.name}({params})"

    def stub(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n    \n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the compiler is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        types = [_named(parse_type(p.type)) for p in signature.params]
        reads = " ".join(f"auto a{i} = TlIn<{name}>::read();" for i, name in enumerate(types))
        call = f"{signature.name}({', '.join(f'a{i}' for i in range(len(types)))})"
        text = filled(
            "caller.cpp", READS=reads, CALL=call, RETURNS=_named(parse_type(signature.returns)), NONCE=json.dumps(nonce)
        )
        source = f'{_HEAD}#include <unistd.h>\n#line 1 "solution.cpp"\n{code}\n#line 1 "caller.cpp"\n{text}'
        files = {"caller.cpp": source.encode(errors="replace"), "input": tokens(signature, inputs)}
        return built(files, build=_build("$here/caller.cpp"), run=("$TMPDIR/solution",), nonce=nonce)

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        files = {"solution.cpp": code.encode(errors="replace")}
        return built(files, build=_build("$here/solution.cpp"), run=("$TMPDIR/solution",), nonce=nonce, stdin=stdin)

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("g++", "clang++")


def _build(source: str) -> list[str]:
    compiler = _compiler()
    assert compiler is not None
    return [compiler, "-std=c++17", "-O1", "-g0", "-w", "-o", "$TMPDIR/solution", source]


def _named(kind: Type) -> str:
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"vector<{inner}>", "map": f"map<string, {inner}>", "optional": f"optional<{inner}>"}[kind.kind]
