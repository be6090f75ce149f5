"""C++17, compiled by g++ or clang++."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type, written
from app.learning.languages.callers import filled
from app.learning.languages.compiled import built, found, strict, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install a C++ compiler (Debian and Ubuntu: apt install g++)."
_SCALARS = {"int": "long long", "float": "double", "str": "string", "bool": "bool"}
# A function's end without its result is refused, and a place outside of a container ends the program with a reason.
_STRICT = ("-Werror=return-type", "-Werror=return-local-addr", "-D_GLIBCXX_ASSERTIONS")
_HEAD = """#include <algorithm>
#include <array>
#include <cassert>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <sstream>
#include <stack>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
using namespace std;
"""


class Cpp:
    name: LanguageName = "cpp"
    title = "C++"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_named(parse_type(p.type))} {p.name}" for p in signature.params)
        return f"{_named(parse_type(signature.returns))} {signature.name}({params})"

    def stub(self, signature: Signature) -> str:
        given = "// C++17. The usual headers and `using namespace std` are there.\n"
        return f"{given}{self.declaration(signature)} {{\n    \n}}\n"

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n    return {{}};\n}}\n"

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
        printed = filled("printed.h", NONCE=json.dumps(nonce))
        source = (
            f'{_HEAD}#define main tl_their_main\n#line 1 "solution.cpp"\n{code}\n#undef main\n'
            f'#line 1 "caller.cpp"\n{printed}{text}'
        )
        files = {"caller.cpp": source.encode(errors="replace"), "input": tokens(signature, inputs)}
        build = _build(*strict(code, _STRICT), "$here/caller.cpp")
        return built(files, build=build, run=("$TMPDIR/solution",), nonce=nonce)

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        files = {"solution.cpp": code.encode(errors="replace")}
        build = _build("-w", "$here/solution.cpp")
        return built(files, build=build, run=("$TMPDIR/solution",), nonce=nonce, stdin=stdin)

    def show(self, value: object) -> str:
        return written(value, null="nullopt")


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("g++", "clang++")


def _build(*options: str) -> list[str]:
    compiler = _compiler()
    assert compiler is not None
    return [compiler, "-std=c++17", "-O1", "-g0", "-o", "$TMPDIR/solution", *options]


def _named(kind: Type) -> str:
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"vector<{inner}>", "map": f"map<string, {inner}>", "optional": f"optional<{inner}>"}[kind.kind]
