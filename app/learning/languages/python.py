"""Python: the interpreter that the sandbox itself starts."""

import json
from collections.abc import Sequence
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type
from app.learning.languages.callers import caller
from app.learning.sandbox.program import OWN_SECONDS, TIMEOUT_CODE, WITH_OWN_END, Program, Sandbox


class Python:
    name: LanguageName = "python"
    title = "Python"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path="the sandbox's own")

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(f"{p.name}: {_type(parse_type(p.type))}" for p in signature.params)
        return f"def {signature.name}({params}) -> {_type(parse_type(signature.returns))}:"

    def stub(self, signature: Signature) -> str:
        return f"{self.declaration(signature)}\n    "

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)}\n    return None\n"

    def program(
        self, sandbox: Sandbox, code: str, signature: Signature, inputs: Sequence[Sequence[Any]], *, nonce: str
    ) -> Program:  # Any: JSON
        job = {
            "function": signature.name, "inputs": inputs, "nonce": nonce, "seconds": OWN_SECONDS,
            "timeoutCode": TIMEOUT_CODE,
        }  # fmt: skip
        return Program(
            argv=(sandbox.python, "-I", "-S", "harness.py"),
            files={
                "harness.py": caller("caller.py").encode(),
                "solution.py": code.encode(errors="replace"),
                "job.json": json.dumps(job).encode(),
            },
            limits=WITH_OWN_END, timeout_code=TIMEOUT_CODE, timeout_seconds=OWN_SECONDS,
        )  # fmt: skip

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        files = {"solution.py": code.encode(errors="replace")}
        return Program(argv=(sandbox.python, "-I", "-S", "-u", "solution.py"), files=files, stdin=stdin)

    def show(self, value: object) -> str:
        return repr(value)


def _type(kind: Type) -> str:
    if kind.of is None:
        return kind.kind
    inner = _type(kind.inner)
    return {"list": f"list[{inner}]", "map": f"dict[str, {inner}]", "optional": f"{inner} | None"}[kind.kind]
