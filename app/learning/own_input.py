"""A solution run on the learner's own input: what came out is shown as it is, and no verdict is given."""

import ast
import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidInput
from app.learning import grading
from app.learning.challenge_files import Challenge, FunctionChallenge, ShellChallenge, SqlChallenge, check_values
from app.learning.code_text import as_code, as_text, check_code, encoded
from app.learning.grading import Graded, Shown, Verdict
from app.learning.languages import BASH, FUNCTION_LANGUAGES, SQL
from app.learning.languages.base import LanguageName, Parameter, Type, parse_type
from app.learning.sandbox.program import Run, Sandbox
from app.learning.sandbox.raw import RawRun, Status, raw

MOST_BYTES = 64 * 1024
ROWS = "rows"
_WHOLE_BITS: dict[LanguageName, int] = {"javascript": 53, "typescript": 53}  # where numbers are floats
_OTHER_BITS = 63
MOST_TRANSLATED = 2000  # characters of a value in a language's own notation
_ANYTHING = Shown(input="", expected="", hidden=False, is_right=lambda _: True)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One part of an input; ``text`` is that of the first example. A ``block`` has many lines."""

    name: str
    what: str
    text: str
    block: bool


def fields(challenge: Challenge) -> list[Field]:
    """What can be put in: a function's arguments as JSON, statements that fill the tables, files. Empty where there is
    nothing to run on an input of one's own."""
    match challenge:
        case FunctionChallenge():
            return [
                Field(name=p.name, what=_a(parse_type(p.type)), text=_json(value), block=False)
                for p, value in zip(challenge.signature.params, challenge.examples[0].arguments, strict=True)
            ]
        case SqlChallenge():
            rows = challenge.examples[0].rows.strip()
            return [Field(name=ROWS, what="statements that fill the tables", text=rows, block=True)]
        case ShellChallenge():
            files = challenge.examples[0].files
            return [Field(name=name, what="a file", text=text, block=True) for name, text in files.items()]
    return []


async def run_on(
    sandbox: Sandbox, challenge: Challenge, language: LanguageName, code: str, given: Mapping[str, str]
) -> RawRun:
    """Run a solution on the texts given for its fields; a field that is not given keeps its example.

    Raises:
        InvalidInput: the code cannot be a solution, or a text is not what its field takes.
    """
    check_code(code)
    code, texts, nonce = as_code(code), _texts(challenge, given), secrets.token_hex(8)
    match challenge:
        case FunctionChallenge(signature=signature):
            spoken = FUNCTION_LANGUAGES[language]
            arguments = [argument(p, texts[p.name], language) for p in signature.params]
            run = await sandbox.run(spoken.program(sandbox, code, signature, [arguments], nonce=nonce))
            result = grading.judge(run, [_ANYTHING], nonce=nonce, show=spoken.show)
            return _told(sandbox, run, grading.with_declaration(result, spoken, signature))
        case SqlChallenge():
            query = SQL.query(sandbox, code, tables=challenge.tables, rows=[texts[ROWS]], nonce=nonce)
            run = await sandbox.run(query)
            return _told(sandbox, run, grading.judge(run, [_ANYTHING], nonce=nonce, show=SQL.show))
        case _:
            return raw(sandbox, await sandbox.run(BASH.over_files(code, texts)))


def _texts(challenge: Challenge, given: Mapping[str, str]) -> dict[str, str]:
    known = fields(challenge)
    if not known:
        raise InvalidInput("This challenge has no input of its own to run on. Submit what you have.")
    unknown = given.keys() - {field.name for field in known}
    if unknown:
        names = ", ".join(f"`{field.name}`" for field in known)
        raise InvalidInput(f"There is no input `{min(unknown)[:80]}`. There is: {names}.")
    texts = {field.name: given.get(field.name, field.text) for field in known}
    if any("\0" in text for text in texts.values()):
        raise InvalidInput("The input holds NUL bytes; it is not text. Type that place anew.")
    if sum(len(encoded(text)) for text in texts.values()) > MOST_BYTES:
        raise InvalidInput(f"The input is too large: at most {MOST_BYTES // 1024} KB in all.")
    return {name: as_text(text) for name, text in texts.items()}


def argument(parameter: Parameter, text: str, language: LanguageName) -> Any:  # Any: JSON of the parameter's type
    """The value that a text stands for: JSON, or the same as languages write it; where a text is wanted, what does not
    begin with a quote is that text.

    Raises:
        InvalidInput: it is neither, or of another type, or larger than the language can hold.
    """
    kind, text = parse_type(parameter.type), text.strip()
    wanted = kind.inner if kind.kind == "optional" else kind
    if wanted.kind == "str" and text[:1] not in ('"', "'") and (wanted is kind or text not in _NOTHING):
        return text
    try:
        value = _value_of(text)
        check_values(kind, [value], "it")
        json.dumps(value, ensure_ascii=False).encode()  # no half of a character
    except (ValueError, RecursionError) as error:
        said = f"`{parameter.name}` must be {_a(kind)}, written as JSON, such as {_json(_sample(kind))}."
        raise InvalidInput(said) from error
    bits = _WHOLE_BITS.get(language, _OTHER_BITS)
    if not _fits(value, 2**bits):
        raise InvalidInput(
            f"`{parameter.name}` holds a number that is too large: whole ones have up to {bits} bits here."
        )
    return _as_typed(kind, value)


def _value_of(text: str) -> object:
    """What a text says in JSON or, where it is short, as Python, Ruby, Rust and others write it.

    Raises:
        ValueError: neither.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        if len(text) > MOST_TRANSLATED or sum(map(text.count, "([{")) > MOST_BRACKETS:
            raise
    translated = _NOTATION.sub(lambda found: _IN_PYTHON.get(found[0], found[0]), text)
    try:
        return ast.literal_eval(translated)
    except (SyntaxError, TypeError, MemoryError) as error:
        raise ValueError(str(error)) from error


MOST_BRACKETS = 50
_NOTHING = ("null", "None", "nil", "nullopt")
_IN_PYTHON = {**dict.fromkeys(_NOTHING, "None"), "true": "True", "false": "False", "=>": ":"}
_NOTATION = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|=>|\b[A-Za-z]+\b")


def _as_typed(kind: Type, value: Any) -> Any:  # Any: a JSON value of the type
    """The same, with floats where the type says so: as JSON, 2 is one too."""
    match kind.kind, value:
        case "float", int():
            return float(value)
        case "optional", _ if value is not None:
            return _as_typed(kind.inner, value)
        case "list", _:
            return [_as_typed(kind.inner, item) for item in value]
        case "map", _:
            return {key: _as_typed(kind.inner, item) for key, item in value.items()}
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _fits(value: object, largest: int) -> bool:
    match value:
        case list():
            return all(_fits(item, largest) for item in value)
        case dict():
            return all(_fits(item, largest) for item in value.values())
        case int():
            return -largest <= value < largest
        case float():
            return math.isfinite(value)
    return True


def _told(sandbox: Sandbox, run: Run, result: Graded) -> RawRun:
    """A run of one case as it was: what came back, what was printed, and what went wrong in the end."""
    if run.status == "infrastructure_error":
        return raw(sandbox, run)
    case = result.cases[0] if result.cases else None
    wrong = [result.message] if case is None else [case.error, *case.trace]
    said = [] if case is None else [grading.compiler_words(run.stderr)]
    return RawRun(
        status=_STATUS[result.verdict],
        value=case.got if case else None, stdout=case.stdout if case else "",
        stderr="\n".join(line for line in (*wrong, *said) if line), exit_code=run.exit_code, wall_ms=run.wall_ms,
        isolated=sandbox.is_isolated,
    )  # fmt: skip


_STATUS: dict[Verdict, Status] = {
    "passed": "ok", "failed": "ok", "error": "error", "compile_error": "compile_error", "timeout": "timeout",
    "killed": "killed",
}  # fmt: skip
_ONE = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
_MANY = {"int": "whole numbers", "float": "numbers", "str": "texts", "bool": "truth values"}
_SAMPLES = {"int": 5, "float": 2.5, "str": "abc", "bool": True}


def _a(kind: Type, *, many: bool = False) -> str:
    """What a value of the type is called, or what many are."""
    match kind.kind:
        case "list":
            return f"{'lists' if many else 'a list'} of {_a(kind.inner, many=True)}"
        case "map":
            return f"{'maps' if many else 'a map'} of {_a(kind.inner, many=True)} by name"
        case "optional":
            return f"{_a(kind.inner, many=many)}{' or' if many else ', or'} null"
    return (_MANY if many else _ONE)[kind.kind]


def _sample(kind: Type) -> Any:  # Any: a JSON value of the type
    match kind.kind:
        case "list":
            return [_sample(kind.inner)]
        case "map":
            return {"a": _sample(kind.inner)}
        case "optional":
            return _sample(kind.inner)
    return _SAMPLES[kind.kind]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
