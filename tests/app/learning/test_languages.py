"""Every language carries every type, and names every failure for what it is."""

import pytest

from app.learning.grading import grade
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES, language_named
from app.learning.languages.base import LanguageName, parse_type
from app.learning.sandbox.program import Sandbox
from app.learning.sandbox.raw import run_script
from tests.app.learning.solutions import CASES, FAIL, FAIL_CASES, FAILING, RIGHT, SUM, VERDICTS

WAYS = [
    pytest.param(language, way, id=f"{language} {way}")
    for language, ways in FAILING.items()
    for way in ways
    if way in VERDICTS
]


def test_eleven_languages_are_here() -> None:
    missing = [language.title for language in LANGUAGES.values() if language.toolchain().path is None]

    assert missing == []
    assert RIGHT.keys() == FAILING.keys() == FUNCTION_LANGUAGES.keys()


@pytest.mark.parametrize("language", FUNCTION_LANGUAGES)
async def test_every_type_goes_in_and_comes_back(sandbox: Sandbox, language: LanguageName) -> None:
    graded = await grade(sandbox, FUNCTION_LANGUAGES[language], RIGHT[language], signature=SUM, cases=CASES)

    assert (graded.verdict, graded.message) == ("passed", "All 3 cases pass.")
    assert [case.stdout for case in graded.cases] == ["counting\n"] * 3


@pytest.mark.parametrize("language", FUNCTION_LANGUAGES)
async def test_a_program_that_answers_ends_well(sandbox: Sandbox, language: LanguageName) -> None:
    """Our own part of it must not crash after the last answer."""
    inputs = [case.arguments for case in CASES]
    program = FUNCTION_LANGUAGES[language].program(sandbox, RIGHT[language], SUM, inputs, nonce="n0")

    run = await sandbox.run(program)

    assert (run.status, run.exit_code) == ("ok", 0), run


@pytest.mark.parametrize(("language", "way"), WAYS)
async def test_each_failure_has_its_verdict(sandbox: Sandbox, language: LanguageName, way: str) -> None:
    graded = await grade(
        sandbox, FUNCTION_LANGUAGES[language], FAILING[language][way], signature=FAIL, cases=FAIL_CASES
    )

    assert graded.verdict == VERDICTS[way]


@pytest.mark.parametrize("language", ["python", "javascript", "c"])
async def test_what_eats_memory_ends_and_nothing_else_does(sandbox: Sandbox, language: LanguageName) -> None:
    graded = await grade(
        sandbox, FUNCTION_LANGUAGES[language], FAILING[language]["eats"], signature=FAIL, cases=FAIL_CASES
    )

    assert graded.verdict in ("error", "killed")


@pytest.mark.parametrize("language", FUNCTION_LANGUAGES)
async def test_the_start_of_the_editor_is_no_solution(sandbox: Sandbox, language: LanguageName) -> None:
    spoken = FUNCTION_LANGUAGES[language]

    graded = await grade(sandbox, spoken, spoken.stub(SUM), signature=SUM, cases=CASES)

    assert graded.verdict in ("failed", "error", "compile_error")


HELLO: dict[LanguageName, str] = {
    "python": "print('hello', input())",
    "javascript": "console.log('hello', require('fs').readFileSync(0, 'utf8').trim())",
    "typescript": "const words: string = 'hello'; import('fs').then((fs) => console.log(words, fs.readFileSync(0, 'utf8').trim()))",
    "java": 'class Main { public static void main(String[] a) { System.out.println("hello " + new java.util.Scanner(System.in).nextLine()); } }',
    "c": '#include <stdio.h>\nint main(void) { char s[9]; scanf("%8s", s); printf("hello %s\\n", s); }',
    "cpp": '#include <iostream>\nint main() { std::string s; std::cin >> s; std::cout << "hello " << s << std::endl; }',
    "go": 'package main\nimport "fmt"\nfunc main() { var s string; fmt.Scan(&s); fmt.Println("hello", s) }',
    "rust": 'fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); println!("hello {}", s.trim()); }',
    "ruby": "puts 'hello ' + gets.strip",
    "bash": "read name; echo hello $name",
    "sql": "SELECT 'hello world';",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_program_of_its_own_reads_its_input(sandbox: Sandbox, language: LanguageName) -> None:
    run = await run_script(sandbox, LANGUAGES[language], HELLO[language], b"world\n")

    assert (run.status, run.stdout, run.exit_code) == ("ok", "hello world\n", 0), run


@pytest.mark.parametrize(
    ("language", "code", "status"),
    [("c", "int main(", "compile_error"), ("python", "1/0", "error"), ("bash", "exit 3", "error"),
     ("c", "int main(void) { return *(volatile int *)0; }", "error"), ("python", "while True: pass", "timeout"),
     ("bash", "yes", "killed")],
)  # fmt: skip
async def test_how_a_program_of_its_own_ended(sandbox: Sandbox, language: LanguageName, code: str, status: str) -> None:
    run = await run_script(sandbox, LANGUAGES[language], code, b"")

    assert run.status == status


@pytest.mark.parametrize("name", ["tuple[int]", "list[]", "list[int", "int[]", "optional[optional[int]]", ""])
def test_what_is_no_type_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"type|optional"):
        parse_type(name)


@pytest.mark.parametrize(("word", "name"), [("PY", "python"), ("c++", "cpp"), ("golang", "go"), ("cobol", None)])
def test_languages_by_their_short_names(word: str, name: str | None) -> None:
    found = language_named(word)

    assert (found.name if found else None) == name
