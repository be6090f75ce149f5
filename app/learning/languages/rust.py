"""Rust, compiled by rustc without any crate."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type, written
from app.learning.languages.callers import filled
from app.learning.languages.compiled import BUILD_LIMITS, built, found, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install Rust where every account can run it (Debian and Ubuntu: apt install rustc gcc)."
_SCALARS = {"int": "i64", "float": "f64", "str": "String", "bool": "bool"}


class Rust:
    name: LanguageName = "rust"
    title = "Rust"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_safe(p.name)}: {_named(parse_type(p.type))}" for p in signature.params)
        return f"pub fn {_safe(signature.name)}({params}) -> {_named(parse_type(signature.returns))}"

    def stub(self, signature: Signature) -> str:
        uses_maps = any("map" in name for name in (signature.returns, *(p.type for p in signature.params)))
        uses = "use std::collections::HashMap;\n\n" if uses_maps else ""
        return f"{uses}{self.declaration(signature)} {{\n    todo!()\n}}\n"

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n    Default::default()\n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the compiler is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        reads = " ".join(
            f"let a{i} = <{_named(parse_type(p.type))} as In>::read(&mut lines);"
            for i, p in enumerate(signature.params)
        )
        call = f"solution::{_safe(signature.name)}({', '.join(f'a{i}' for i in range(len(signature.params)))})"
        text = filled(
            "caller.rs", READS=reads, CALL=call, NONCE=json.dumps(nonce), NAME=_safe(signature.name),
            TAKES=", ".join(_named(parse_type(p.type)) for p in signature.params),
            RETURNS=_named(parse_type(signature.returns)),
        )  # fmt: skip
        files = {
            "solution.rs": _public(code, _safe(signature.name)).encode(errors="replace"), "caller.rs": text.encode(),
            "input": tokens(signature, inputs),
        }  # fmt: skip
        return _built(files, "$here/caller.rs", nonce, b"")

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        return _built({"solution.rs": code.encode(errors="replace")}, "$here/solution.rs", nonce, stdin)

    def show(self, value: object) -> str:
        return written(value, null="None")


def _built(files: dict[str, bytes], source: str, nonce: str, stdin: bytes) -> Program:
    compiler, linker = _compiler(), _linker()
    assert compiler is not None
    assert linker is not None
    code = ("-C", "opt-level=1", "-C", "overflow-checks=on", "-C", f"linker={linker}")
    options = ("--edition", "2021", "-A", "warnings", *code)
    return built(
        files, build=(compiler, *options, "-o", "$TMPDIR/solution", source), run=("$TMPDIR/solution",),
        nonce=nonce, stdin=stdin, limits=replace(BUILD_LIMITS, memory_bytes=1536 * 1024 * 1024),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("rustc") if _linker() else None


@lru_cache(maxsize=1)
def _linker() -> str | None:
    return found("gcc", "clang")


def _public(code: str, name: str) -> str:
    """The solution where others may call it, and with the standard collections for who did not name them."""
    public = re.sub(rf"^(\s*)((?:const )?)fn {name}\b", rf"\1pub \2fn {name}", code, count=1, flags=re.MULTILINE)
    return f"{public}\n#[allow(unused_imports)] use std::collections::*;\n"


def _safe(name: str) -> str:
    return f"{name}_" if name in ("type", "match", "move", "ref", "loop", "use", "where", "in", "fn", "mod") else name


def _named(kind: Type) -> str:
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"Vec<{inner}>", "map": f"HashMap<String, {inner}>", "optional": f"Option<{inner}>"}[kind.kind]
