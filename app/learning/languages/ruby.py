"""Ruby 2.7 or newer."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain, Type, parse_type, written
from app.learning.languages.callers import caller
from app.learning.languages.compiled import found
from app.learning.sandbox.program import OWN_SECONDS, TIMEOUT_CODE, WITH_OWN_END, Program, Sandbox

_SCALARS = {"int": "Integer", "float": "Float", "str": "String", "bool": "Boolean"}
REMEDY = "Install Ruby (Debian and Ubuntu: apt install ruby)."


class Ruby:
    name: LanguageName = "ruby"
    title = "Ruby"
    place = ""

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_ruby(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        return f"def {signature.name}({', '.join(p.name for p in signature.params)})"

    def stub(self, signature: Signature) -> str:
        types = "".join(f"# @param {p.name} [{_named(parse_type(p.type))}]\n" for p in signature.params)
        returns = f"# @return [{_named(parse_type(signature.returns))}]\n"
        return f"{types}{returns}{self.declaration(signature)}\n  \nend\n"

    def empty(self, signature: Signature) -> str:
        return f"{self.declaration(signature)}\n  nil\nend\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the interpreter is the system's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        job = {
            "function": signature.name, "inputs": inputs, "nonce": nonce, "seconds": OWN_SECONDS,
            "timeoutCode": TIMEOUT_CODE,
        }  # fmt: skip
        files = {
            "harness.rb": caller("caller.rb").encode(), "solution.rb": code.encode(errors="replace"),
            "job.json": json.dumps(job).encode(),
        }  # fmt: skip
        return Program(
            argv=(_ruby() or "ruby", "--disable=gems", "harness.rb"), files=files, limits=WITH_OWN_END,
            timeout_code=TIMEOUT_CODE, timeout_seconds=OWN_SECONDS,
        )  # fmt: skip

    def script(self, sandbox: Sandbox, code: str, stdin: bytes, *, nonce: str) -> Program:  # noqa: ARG002  # see base
        files = {"solution.rb": code.encode(errors="replace")}
        return Program(argv=(_ruby() or "ruby", "solution.rb"), files=files, stdin=stdin)

    def show(self, value: object) -> str:
        return written(value, null="nil", colon=" => ")


def _named(kind: Type) -> str:
    """The type in YARD's notation."""
    if kind.of is None:
        return _SCALARS[kind.kind]
    inner = _named(kind.inner)
    return {"list": f"Array<{inner}>", "map": f"Hash{{String => {inner}}}", "optional": f"{inner}, nil"}[kind.kind]


@lru_cache(maxsize=1)
def _ruby() -> str | None:
    return found("ruby")
