"""Rust, compiled by rustc without any crate."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type
from app.learning.languages.callers import filled
from app.learning.languages.compiled import BUILD_LIMITS, built, found, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install Rust where every account can run it (Debian and Ubuntu: apt install rustc gcc)."
_SCALARS = {"int": "i64", "float": "f64", "str": "String", "bool": "bool"}


class Rust:
    name: LanguageName = "rust"
    title = "Rust"

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_safe(p.name)}: {_named(parse_type(p.type))}" for p in signature.params)
        return f"pub fn {_safe(signature.name)}({params}) -> {_named(parse_type(signature.returns))}"

    def stub(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n    todo!()\n}}\n"

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
        text = filled("caller.rs", READS=reads, CALL=call, NONCE=json.dumps(nonce))
        files = {
            "solution.rs": _public(code, _safe(signature.name)).encode(errors="replace"), "caller.rs": text.encode(),
            "input": tokens(signature, inputs),
        }  # fmt: skip
        return _built(files, "$here/caller.rs", nonce, b"")

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        return _built({"solution.rs": code.encode(errors="replace")}, "$here/solution.rs", nonce, stdin)

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


def _built(files: dict[str, bytes], source: str, nonce: str, stdin: bytes) -> Program:
    compiler, linker = _compiler(), _linker()
    assert compiler is not None
    assert linker is not None
    options = ("--edition", "2021", "-C", "opt-level=1", "-A", "warnings", "-C", f"linker={linker}")
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
    return re.sub(rf"^(\s*)fn {name}\b", rf"\1pub fn {name}", code, count=1, flags=re.MULTILINE)


def _safe(name: str) -> str:
    return f"{name}_" if name in ("type", "match", "move", "ref", "loop", "use", "where", "in", "fn", "mod") else name


def _named(kind: Type) -> str:
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"Vec<{inner}>", "map": f"HashMap<String, {inner}>", "optional": f"Option<{inner}>"}[kind.kind]
