"""Every language carries every type, and names every failure for what it is."""

import pytest

from app.learning.challenge_files import Case
from app.learning.grading import grade
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES, language_named
from app.learning.languages.base import LanguageName, Parameter, Signature, parse_type
from app.learning.sandbox.probe import Isolation
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
    if way == "endless":  # what was printed until then is what tells where
        assert [case.stdout for case in graded.cases] == ["at 1\n", ""]
        assert graded.cases[0].error == "it did not end in time"


ASIDE: dict[LanguageName, str] = {
    "python": "import sys\ndef fail_at(n):\n    print('at', n, file=sys.stderr)\n    return n",
    "java": 'class Solution { static long failAt(long n) { System.err.println("at " + n); return n; } }',
    "c": '#include <stdio.h>\nlong long fail_at(long long n) { fprintf(stderr, "at %lld\\n", n); return n; }',
    "go": 'package main\nfunc failAt(n int) int { println("at", n); return n }',
    "rust": 'pub fn fail_at(n: i64) -> i64 { eprintln!("at {}", n); n }',
    "ruby": 'def fail_at(n) warn "at #{n}"; n end',
}


@pytest.mark.parametrize("language", ASIDE)
async def test_what_is_printed_aside_is_kept(isolation: Isolation, language: LanguageName) -> None:
    code, spoken = ASIDE[language], FUNCTION_LANGUAGES[language]

    graded = await grade(isolation.require(), spoken, code, signature=FAIL, cases=FAIL_CASES)

    assert (graded.verdict, graded.stderr) == ("passed", "at 1\nat 2")


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


PAIR = Signature(
    name="pair_of", params=(Parameter(name="n", type="int"),), returns="optional[list[int]]"
)  # fmt: skip
COUNTS = Signature(name="counts_of", params=(Parameter(name="n", type="int"),), returns="map[optional[int]]")
PAIR_CASES = [Case(arguments=(3,), expected=[3], hidden=False), Case(arguments=(0,), expected=None, hidden=False)]
COUNT_CASES = [Case(arguments=(3,), expected={"b": 1, "a": None}, hidden=False)]

# What beginners write, and a part of what they are told. Each was once taken as right, or told of files that nobody sees.
TOLD: list[tuple[LanguageName, Signature, str, str, str]] = [
    ("python", PAIR, "from dataclasses import dataclass\n@dataclass\nclass Node:\n    value: int\n    next: 'Node | None'\n"
     "def pair_of(n): return [n] if n else None\nprint(pair_of(3))\nexit()", "passed", ""),
    ("python", PAIR, "\ufeffdef pair_of(n):\r\n    return [n] if n else None\r\nn = input('number? ')\r\n", "passed", ""),
    ("python", PAIR, "def pair_of(n):\n    yield n", "error", "make a list of it with list(...)"),
    ("python", PAIR, "async def pair_of(n): return [n]", "error", "must not be async"),
    ("python", PAIR, "class Solution:\n    def pair_of(self, n): return [n]", "compile_error", "stands inside the class Solution"),
    ("python", PAIR, "def pairOf(n): return [n]", "compile_error", "there is no function named pair_of; there is pairOf"),
    ("python", PAIR, "pair_of = [3]", "compile_error", "pair_of is no function but a value of type list"),
    ("python", PAIR, "def pair_of(n:\n    return n", "compile_error", "SyntaxError: '(' was never closed\nline 1: def pair_of(n:"),
    ("python", PAIR, "class Odd(Exception):\n    def __str__(self): return 5\ndef pair_of(n): raise Odd", "error", "Odd: its text"),
    ("javascript", PAIR, "export function pairOf(n) { if (n) return [n]; }\nmodule.exports = { pairOf };\n"
     "require('node:assert').deepStrictEqual(pairOf(2), [2]);\nprocess.exit(0);", "passed", ""),
    ("javascript", PAIR, "exports.pairOf = (n) => (n ? [n] : null);\nconst performance = 3;\nsetInterval(() => {}, 1000);\n"
     "process.stdout.write('no line');\nconsole.table([1]);", "passed", ""),
    ("javascript", PAIR, "function pairOf(n) { process.stdout.write('so '); console.log(new Map([[1, 2]]), -0); return new Set([n]); }",
     "error", "so Map(1) { 1 => 2 } -0"),
    ("javascript", PAIR, "function pairOf(n) { return new Set([n]); }", "error", "type Set cannot be compared; return [...it]"),
    ("javascript", PAIR, "async function pairOf(n) { return [n]; }", "error", "must not be async"),
    ("javascript", PAIR, "function pair_of(n) { return [n]; }", "compile_error", "there is no function named pairOf; there is pair_of"),
    ("javascript", PAIR, "const fs = require('fs');", "compile_error", "there are assert and util"),
    ("typescript", PAIR, "enum Kind { One, Two }\nexport function pairOf(n: number): number[] | null { return n ? [n + Kind.One] : null; }",
     "passed", ""),
    ("typescript", PAIR, "const one: number = ;\nfunction pairOf(n: number) {}", "compile_error", "line 1: const one: number = ;"),
    ("ruby", PAIR, "job = say = plain = source = channel = 1\ndef pair_of(n) = n.zero? ? nil : [n]", "passed", ""),
    ("ruby", PAIR, "x = Set.new\ndef send(*) = 1\ndef pair_of(n) = n.zero? ? nil : Set[n].to_a\nreturn", "passed", ""),
    ("ruby", PAIR, "def pair_of(n) = [n].each", "error", "call .to_a on it"),
    ("ruby", PAIR, 'def pair_of(n) = ["\\xFF"]', "error", "not valid UTF-8"),
    ("ruby", PAIR, 'def pair_of(n)\n  puts "\\xFF"\n  raise "\\xFE"\nend', "error", 'line 3: raise "\\xFE"'),
    ("ruby", PAIR, "def pairOf(n) = nil", "compile_error", "there is no method named pair_of; there is pairOf"),
    ("ruby", COUNTS, "def counts_of(n) = { b: 1, a: nil, c: 2 }", "failed", '{"a" => nil, "b" => 1, "c" => 2}'),
    ("go", PAIR, "package main\nfunc time() {}\nfunc json() {}\nfunc main() {}\n"
     "func pairOf(n int) *[]int { if n == 0 { return nil }; return &[]int{n} }", "passed", ""),
    ("go", PAIR, "package main\nfunc pairOf(n int) *[]int { var none []int; return &none }", "failed", "[]"),
    ("go", PAIR, "package main\nfunc pairOf(n int) *[]int { return pairOf(n + 1) }", "error", "stack overflow"),
    ("go", PAIR, "package main\nfunc pair_of(n int) []int { return nil }", "compile_error",
     "What is called is `func pairOf(n int) *[]int`"),
    ("c", PAIR, "list_int *pair_of(long long n) { list_int one = {&n, 1}; return &one; }", "compile_error",
     "returns address of local variable"),
    ("c", PAIR, "static int read(void) { return 1; }\nint main(void) { return 0; }\nlist_int *pair_of(long long n) {\n"
     "  if (!n) return NULL;\n  list_int *one = malloc(sizeof *one); one->items = malloc(sizeof n);\n"
     "  one->items[0] = n; one->length = (size_t)read(); return one;\n}", "passed", ""),
    ("c", PAIR, "list_int *pair_of(long long n) { }", "compile_error", "control reaches end"),
    ("c", PAIR, "list_int *pairs_of(long long n) { return NULL; }", "compile_error",
     "What is called is `list_int *pair_of(long long n)`"),
    ("c", PAIR, 'list_int *pair_of(long long n) { puts("so far"); return (list_int *)(n + 1); }', "error", "so far"),
    ("c", COUNTS, "map_optional_int counts_of(long long n) { static const char *keys[] = {\"a\", \"a\"};\n"
     "  static long long *values[2]; return (map_optional_int){keys, values, 2}; }", "failed", '[["a", NULL]'),
    ("cpp", PAIR, "int main() { return 0; }\noptional<vector<long long>> pair_of(long long n) {\n"
     "  stack<int> none; function<int()> f; cout << setw(3) << LLONG_MAX;\n"
     "  if (!n) return nullopt; return vector{n};\n}", "passed", ""),
    ("cpp", PAIR, "optional<vector<long long>> pair_of(long long n) { }", "compile_error", "no return statement"),
    ("cpp", PAIR, 'optional<vector<long long>> pair_of(long long n) { cout << "so far"; return {{vector<int>().at(n)}}; }',
     "error", "std::out_of_range: vector"),
    ("cpp", PAIR, 'optional<vector<long long>> pair_of(long long n) { puts("so far"); return {{vector<int>()[n]}}; }',
     "error", "Assertion '__n < this->size()' failed"),
    ("rust", PAIR, "#![allow(dead_code)]\n//! Pairs.\npub const fn one() -> i64 { 1 }\n"
     "fn pair_of(n: i64) -> Option<Vec<i64>> { let s = HashSet::from([n]); if n == 0 { None } else { Some(s.into_iter().collect()) } }",
     "passed", ""),
    ("rust", PAIR, "pub fn pair_of(n: i64) -> Option<Vec<i64>> { let m = i32::MAX; Some(vec![(m + n as i32) as i64]) }",
     "error", "attempt to add with overflow"),
    ("rust", PAIR, "pub fn pair_of(n: usize) -> Option<Vec<i64>> { None }", "compile_error", "What is called is `pub fn pair_of"),
    ("java", PAIR, "class Solution { static long[] pairOf(long n) { return new long[] {n}; } }", "error",
     "a result of type long[] cannot be compared"),
    ("java", PAIR, "class Solution { java.util.List<Long> pairOf(long n) { return null; } }", "compile_error",
     "What is called is `static List<Long> pairOf(long n)` in `class Solution`"),
    ("java", PAIR, "class Solution { static java.util.List<Long> pairOf(long n) { return pairOf(n + 1); } }", "error",
     "StackOverflowError: a method calls itself without an end"),
    ("java", PAIR, "class Solution { static java.util.List<Long> pairOf(long n) { String said = null; said.trim(); return null; } }",
     "error", 'because "said" is null'),
]  # fmt: skip


@pytest.mark.parametrize("told", TOLD, ids=[f"{told[0]} {place}" for place, told in enumerate(TOLD)])
async def test_what_beginners_write_is_told_in_their_words(
    sandbox: Sandbox, told: tuple[LanguageName, Signature, str, str, str]
) -> None:
    language, signature, code, verdict, part = told
    cases = PAIR_CASES if signature is PAIR else COUNT_CASES

    graded = await grade(sandbox, FUNCTION_LANGUAGES[language], code, signature=signature, cases=cases)

    said = "\n".join(
        [graded.message, *(f"{c.got} {c.error} {c.stdout} {' '.join(c.trace)}" for c in graded.cases if not c.passed)]
    )
    assert (graded.verdict, part in said) == (verdict, True), said
    assert "/box/" not in said


@pytest.mark.parametrize("language", FUNCTION_LANGUAGES)
async def test_the_empty_value_of_every_language_can_be_run(sandbox: Sandbox, language: LanguageName) -> None:
    spoken = FUNCTION_LANGUAGES[language]

    for signature, cases in ((PAIR, PAIR_CASES), (COUNTS, COUNT_CASES)):
        graded = await grade(sandbox, spoken, spoken.empty(signature), signature=signature, cases=cases)

        assert (graded.verdict, len(graded.cases)) == ("failed", len(cases)), graded.message


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def sevens_of(n): return [7] * n"),
        ("javascript", "function sevensOf(n) { return Array(n).fill(7); }"),
        ("typescript", "function sevensOf(n: number): number[] { return Array(n).fill(7); }"),
        ("ruby", "def sevens_of(n) = [7] * n"),
    ],
)
async def test_a_result_that_fills_the_pipe_arrives_whole(sandbox: Sandbox, language: LanguageName, code: str) -> None:
    signature = Signature(name="sevens_of", params=(Parameter(name="n", type="int"),), returns="list[int]")
    cases = [Case(arguments=(100_000,), expected=[7] * 100_000, hidden=False)]

    verdicts = [
        (await grade(sandbox, FUNCTION_LANGUAGES[language], code, signature=signature, cases=cases)).verdict
        for _ in range(6)
    ]

    assert verdicts == ["passed"] * 6
