"""Go, compiled by the official toolchain."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, camel, parse_type, written
from app.learning.languages.callers import filled
from app.learning.languages.compiled import BUILD_LIMITS, built, found
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install Go (Debian and Ubuntu: apt install golang-go)."
_SCALARS = {"int": "int", "float": "float64", "str": "string", "bool": "bool"}


class Go:
    name: LanguageName = "go"
    title = "Go"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_parameter(p.name)} {_named(parse_type(p.type))}" for p in signature.params)
        return f"func {camel(signature.name)}({params}) {_named(parse_type(signature.returns))}"

    def stub(self, signature: Signature) -> str:
        return f'package main\n\n{self.declaration(signature)} {{\n\tpanic("not written yet")\n}}\n'

    def empty(self, signature: Signature) -> str:
        returns = _named(parse_type(signature.returns))
        return f"package main\n\n{self.declaration(signature)} {{\n\tvar empty {returns}\n\treturn empty\n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the compiler is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        reads = "".join(
            f"\tvar a{i} {_named(parse_type(p.type))}\n\ttlJson.Unmarshal(raw[{i}], &a{i})\n"
            for i, p in enumerate(signature.params)
        )
        call = f"{camel(signature.name)}({', '.join(f'a{i}' for i in range(len(signature.params)))})"
        text = filled("caller.go", READS=reads, CALL=call, NONCE=json.dumps(nonce))
        files = {
            "solution.go": _without_main(_packaged(code)).encode(errors="replace"), "caller.go": text.encode(),
            "input.json": json.dumps(inputs).encode(),
        }  # fmt: skip
        return _built(files, ("$here/solution.go", "$here/caller.go"), nonce, b"")

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        return _built({"solution.go": _packaged(code).encode(errors="replace")}, ("$here/solution.go",), nonce, stdin)

    def show(self, value: object) -> str:
        return written(value, null="nil")


def _built(files: dict[str, bytes], sources: tuple[str, ...], nonce: str, stdin: bytes) -> Program:
    compiler = _compiler()
    assert compiler is not None
    settings = ("GOCACHE=$TMPDIR/cache", "GOFLAGS=-mod=mod", "GO111MODULE=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0",
                "GOMAXPROCS=2", "GOPATH=$TMPDIR/go")  # fmt: skip
    return built(
        files, build=("env", *settings, compiler, "build", "-o", "$TMPDIR/solution", *sources),
        run=("env", "GOMAXPROCS=2", "$TMPDIR/solution"), nonce=nonce, stdin=stdin,
        limits=replace(BUILD_LIMITS, wall_seconds=30.0, cpu_seconds=60, disk_bytes=512 * 1024 * 1024),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("go")


def _packaged(code: str) -> str:
    """A pasted function without its package clause, in the place where the clause would stand."""
    return code if re.search(r"^\s*package \w", code, re.MULTILINE) else f"package main; {code}"


def _without_main(code: str) -> str:
    """A solution that was tried out with a main function of its own: ours is the one that runs."""
    return re.sub(r"^func main\(\)", "func tlTheirMain()", code, flags=re.MULTILINE)


def _parameter(name: str) -> str:
    plain = camel(name)
    return f"{plain}_" if plain in ("range", "map", "type", "func", "len", "string", "var", "select") else plain


def _named(kind: Type) -> str:
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"[]{inner}", "map": f"map[string]{inner}", "optional": f"*{inner}"}[kind.kind]
