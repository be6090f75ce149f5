"""Java 11 or newer: a class ``Solution`` with a static method, compiled by javac."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, camel, parse_type
from app.learning.languages.callers import filled
from app.learning.languages.compiled import BUILD_LIMITS, built, found, tokens
from app.learning.sandbox.program import Program, Sandbox

REMEDY = "Install a Java Development Kit (Debian and Ubuntu: apt install default-jdk-headless)."
_SCALARS = {"int": "long", "float": "double", "str": "String", "bool": "boolean"}
_BOXED = {"int": "Long", "float": "Double", "str": "String", "bool": "Boolean"}
# A small, single-threaded machine: it starts sooner, and fits beside the limits of memory and processes.
_MACHINE = ("-Xmx256m", "-Xss8m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
            "-XX:ReservedCodeCacheSize=32m", "-XX:CompressedClassSpaceSize=64m")  # fmt: skip


class Java:
    name: LanguageName = "java"
    title = "Java"
    place = " in `class Solution`, without a package"

    def toolchain(self) -> Toolchain:
        _settings()  # looked for here, so that no request waits for the disk
        return Toolchain(path=_compiler(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{_named(parse_type(p.type))} {camel(p.name)}" for p in signature.params)
        return f"static {_named(parse_type(signature.returns))} {camel(signature.name)}({params})"

    def stub(self, signature: Signature) -> str:
        imports = "import java.util.*;\nimport java.util.regex.*;\nimport java.util.stream.*;\n"
        return f"{imports}\nclass Solution {{\n    {self.declaration(signature)} {{\n        \n    }}\n}}\n"

    def empty(self, signature: Signature) -> str:
        empty = {"int": "0", "float": "0", "bool": "false"}.get(signature.returns, "null")
        body = f"    {self.declaration(signature)} {{\n        return {empty};\n    }}\n"
        return f"import java.util.*;\n\nclass Solution {{\n{body}}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the compiler is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        casts = ", ".join(f"({_boxed(parse_type(p.type))}) a[{i}]" for i, p in enumerate(signature.params))
        text = filled(
            "Caller.java", CALL=f"Solution.{camel(signature.name)}({casts})", NONCE=json.dumps(nonce),
            TYPES=", ".join(json.dumps(p.type) for p in signature.params),
        )  # fmt: skip
        files = {
            "Solution.java": code.encode(errors="replace"), "Caller.java": text.encode(),
            "input": tokens(signature, inputs),
        }  # fmt: skip
        return self._built(files, ("$here/Solution.java", "$here/Caller.java"), "Caller", nonce, b"")

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see above
        files = {"Main.java": code.encode(errors="replace")}
        return self._built(files, ("$here/Main.java",), "Main", nonce, stdin)

    def _built(
        self, files: dict[str, bytes], sources: tuple[str, ...], main: str, nonce: str, stdin: bytes
    ) -> Program:  # fmt: skip
        javac = _compiler()
        assert javac is not None
        options = [f"-J{option}" for option in _MACHINE]
        classes = "$TMPDIR/classes"
        return built(
            files,
            build=(javac, *options, "-encoding", "UTF-8", "-g", "-nowarn", "-proc:none", "-d", classes, *sources),
            run=(str(Path(javac).with_name("java")), *_MACHINE, "-cp", classes, main), nonce=nonce, stdin=stdin,
            limits=replace(BUILD_LIMITS, memory_bytes=2 * 1024 * 1024 * 1024), read_only=_settings(),
        )  # fmt: skip

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=1)
def _compiler() -> str | None:
    return found("javac") if found("java") else None


@lru_cache(maxsize=1)
def _settings() -> tuple[Path, ...]:
    """Debian keeps a part of the JDK, to which links in it point, under /etc."""
    return tuple(folder for folder in Path("/etc").glob("java-*-openjdk") if folder.is_dir())


def _named(kind: Type) -> str:
    return _SCALARS[kind.kind] if kind.of is None else _boxed(kind)


def _boxed(kind: Type) -> str:
    if kind.of is None:
        return _BOXED[kind.kind]
    inner = _boxed(kind.inner)
    return {"list": f"List<{inner}>", "map": f"Map<String, {inner}>", "optional": inner}[kind.kind]
