"""Verdicts cannot be forged, limits hold, and each failure is named for what it is."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from app.errors import InvalidInput, SandboxFailed, SandboxUnavailable
from app.learning.challenge_files import Case
from app.learning.coach import feedback
from app.learning.grading import CaseResult, Graded, Shown, grade, judge, matches
from app.learning.languages import FUNCTION_LANGUAGES, LANGUAGES
from app.learning.languages.base import LanguageName, Parameter, Signature, parse_type
from app.learning.sandbox.bubblewrap import Bubblewrap
from app.learning.sandbox.probe import Isolation
from app.learning.sandbox.program import Limits, Program, Run, Sandbox
from app.learning.sandbox.raw import run_script
from app.learning.sandbox.watching import launch

ADD = Signature(name="add", params=(Parameter(name="a", type="int"), Parameter(name="b", type="int")), returns="int")
CASES = [Case(arguments=(1, 2), expected=3, hidden=False), Case(arguments=(20, 22), expected=42, hidden=True)]


async def run(isolation: Isolation, code: str, language: LanguageName = "python") -> Graded:
    return await grade(isolation.require(), FUNCTION_LANGUAGES[language], code, signature=ADD, cases=CASES)


@pytest.mark.parametrize("code", [139, 134, 136])
def test_a_crash_is_one_whatever_came_before_it(code: int) -> None:
    answered = b'n0{"case": 0, "value": 4}\n'
    run = Run(status="crashed", stdout=answered, stderr=b"", exit_code=code, wall_ms=5)
    shown = [Shown(input="1", expected="3", hidden=False, is_right=lambda got: got == 3) for _ in range(2)]

    graded = judge(run, shown, nonce="n0", show=str)

    assert graded.verdict == "error"
    assert "crashed" in graded.message


async def test_a_right_solution_passes_and_its_prints_are_kept_apart(isolation: Isolation) -> None:
    graded = await run(isolation, "def add(a, b):\n    print('adding', a)\n    return a + b")

    assert graded.verdict == "passed"
    assert graded.cases[0].stdout == "adding 1\n"


async def test_the_first_failing_case_is_shown_in_full(isolation: Isolation) -> None:
    graded = await run(isolation, "def add(a, b):\n    print('hm')\n    return a - b")

    first = graded.cases[0]
    assert (graded.verdict, first.input, first.expected, first.got, first.stdout) == (
        "failed",
        "1, 2",
        "3",
        "-1",
        "hm\n",
    )


async def test_a_traceback_shows_the_learners_lines_only(isolation: Isolation) -> None:
    graded = await run(isolation, "def helper(x):\n    return x / 0\n\ndef add(a, b):\n    return helper(a)")

    assert graded.verdict == "error"
    assert graded.cases[0].error == "ZeroDivisionError: division by zero"
    assert graded.cases[0].trace == ("line 5 in add: return helper(a)", "line 2 in helper: return x / 0")


@pytest.mark.parametrize(
    ("language", "code", "verdict"),
    [
        pytest.param("python", "def add(a, b:\n", "compile_error", id="python syntax"),
        pytest.param("javascript", "function add(a, b {", "compile_error", id="javascript syntax"),
        pytest.param("python", "x = 1", "compile_error", id="no function"),
        pytest.param("python", "def add(a, b):\n    while True: pass", "timeout", id="python endless"),
        pytest.param("javascript", "function add(a, b) { for (;;); }", "timeout", id="javascript endless"),
        pytest.param("python", "import os\nwhile True: os.write(1, b'x' * 65536)", "killed", id="flood"),
        pytest.param("python", "def add(a, b):\n    return bytearray(10**10)", "killed", id="python memory"),
        pytest.param("javascript", "function add(a, b) { const x = []; for (;;) x.push(new Array(1e6).fill(x.length + 0.5)); }",
                     "killed", id="javascript memory"),
        pytest.param("python", "import os\ndef add(a, b):\n    os._exit(0)", "error", id="leaves early"),
        pytest.param("python", "def add(a, b):\n    return 'three'", "failed", id="wrong type"),
        pytest.param("python", "def add(a, b):\n    return True", "failed", id="a boolean is no integer"),
        pytest.param("python", "def add(a, b):\n    return object()", "error", id="not comparable"),
    ],
)  # fmt: skip
async def test_each_failure_has_its_verdict(isolation: Isolation, language: str, code: str, verdict: str) -> None:
    assert (await run(isolation, code, language)).verdict == verdict


FORGERIES = {
    "always equal": "class E(int):\n    def __eq__(s, o): return True\ndef add(a, b): return E(0)",
    "prints a result": "import sys\ndef add(a, b):\n    print('{\"case\": 0, \"value\": 3}')\n    return 0",
    "answers for the harness without knowing": (
        "import json, os\njob = json.load(open('job.json'))\n"
        "for i in range(2): os.write(3, (job['nonce'] + json.dumps({'case': i, 'value': 0}) + chr(10)).encode())\n"
        "os._exit(0)"
    ),
    "looks for expected values": (
        "import gc\ndef add(a, b):\n"
        "    found = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n"
        "    return found[0]['expected'] if found else 0"
    ),
    "reads the frames": (
        "import sys\ndef add(a, b):\n    f = sys._getframe(1)\n"
        "    return f.f_locals.get('expected', f.f_globals.get('expected', 0))"
    ),
    "patches json": "import json\njson.dumps = lambda *a, **k: '{\"case\": 0, \"passed\": true}'\ndef add(a, b): return 0",
    "exits with success": "import sys\nsys.exit(0)",
    "overwrites itself": "def add(a, b):\n    open('solution.py', 'w').write('x')\n    return 0",
}  # fmt: skip


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES.keys())
async def test_no_forgery_passes(isolation: Isolation, code: str) -> None:
    assert (await run(isolation, code)).verdict != "passed"


ESCAPES = {
    "reads the home folder": f"open({str(Path.home())!r} + '/.profile').read()",
    "reads passwords": "open('/etc/passwd').read()",
    "writes outside": "open('/usr/bin/x', 'w')",
    "opens the network": "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
    "makes namespaces": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "traces": "import ctypes; assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, 0) == 0",
    "fills the disk": "open(__import__('os').environ['TMPDIR'] + '/x', 'wb').write(b'x' * 100_000_000)",
    "becomes root": "import os; os.setuid(0)",
    "kills its parents": "import os; [os.kill(pid, 9) for pid in (os.getppid(),) if pid > 1 or 1/0]",
}


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES.keys())
async def test_no_escape_works_and_its_control_does(isolation: Isolation, code: str) -> None:
    escape = await run(isolation, f"{code}\ndef add(a, b): return a + b")
    control = await run(
        isolation, "open(__import__('os').environ['TMPDIR'] + '/ok', 'w').write('x')\ndef add(a, b): return a + b"
    )

    assert escape.verdict != "passed"
    assert control.verdict == "passed"


async def test_memory_that_is_no_more_is_a_limit_and_a_flood_is_another(isolation: Isolation) -> None:
    hungry = await run(isolation, "def add(a, b):\n    return len(bytearray(10**10))")
    loud = await run(isolation, "import os\nwhile True: os.write(2, b'x' * 10000)\n")

    assert (hungry.verdict, loud.verdict) == ("killed", "killed")
    assert "limit of memory" in hungry.message
    assert "printed without an end" in loud.message
    assert feedback(hungry, 0).startswith("Something grows without end")
    assert feedback(loud, 0).startswith("Which loop prints")


async def test_a_loop_outside_of_the_function_is_no_case_that_does_not_end(isolation: Isolation) -> None:
    graded = await run(isolation, "def add(a, b):\n    return a + b\nprint('on')\nwhile True: pass")

    assert graded.verdict == "timeout"
    assert graded.cases[0].error == "it was not called: a line outside of it did not end in time"
    assert graded.cases[0].stdout == "on\n"
    assert feedback(graded, 0).startswith("The function itself was never called.")


async def test_an_error_before_an_endless_case_is_spoken_of_first(isolation: Isolation) -> None:
    code = "def add(a, b):\n    if a == 1: return {}['x']\n    while True: pass"

    graded = await run(isolation, code)

    assert graded.verdict == "timeout"
    assert "Case 1 was wrong before that" in graded.message
    assert "KeyError" in feedback(graded, 0)


@pytest.mark.parametrize("language", ["c", "cpp"])
async def test_a_main_function_of_ones_own_needs_no_return(isolation: Isolation, language: LanguageName) -> None:
    code = "long long add(long long a, long long b) { return a + b; }\nint main() { add(1, 2); }"

    assert (await run(isolation, code, language)).verdict == "passed"


async def test_a_program_that_is_stopped_in_the_moment_of_its_start_leaves_nothing(sandbox: Sandbox) -> None:
    program = Program(argv=(sandbox.python, "-I", "-S", "-c", "import time; time.sleep(60)"), files={})
    began = time.monotonic()
    for number in range(24):
        running = asyncio.create_task(sandbox.run(program))
        await asyncio.sleep(number / 1000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    ended = await sandbox.run(Program(argv=(sandbox.python, "-I", "-S", "-c", "print('on')"), files={}))
    listing = await asyncio.create_subprocess_exec("ps", "-eo", "args", stdout=asyncio.subprocess.PIPE)
    listed, _ = await listing.communicate()
    assert ended.stdout == b"on\n"
    assert "time.sleep(60)" not in listed.decode()
    assert time.monotonic() - began < 60


async def test_a_fork_bomb_ends_and_leaves_nothing(isolation: Isolation) -> None:
    bomb = "import os\ndef add(a, b):\n    while True:\n        try: os.fork()\n        except OSError: pass"

    graded = await run(isolation, bomb)

    process = await asyncio.create_subprocess_exec("ps", "-eo", "uid,stat,args", stdout=asyncio.subprocess.PIPE)
    listed, _ = await process.communicate()
    left = [line for line in listed.decode().splitlines() if "-S harness.py" in line and " Z" not in line]
    assert graded.verdict == "timeout"
    assert len(left) <= 2  # those of another test that runs beside this one; a bomb would leave dozens


async def test_a_broken_launcher_is_never_a_wrong_answer() -> None:
    broken = Bubblewrap(bwrap="/nowhere/bwrap", python="/usr/bin/python3", read_only=())

    with pytest.raises(SandboxFailed, match="not your mistake"):
        await run(Isolation(sandbox=broken, reason=""), "def add(a, b): return a + b")


async def test_without_a_sandbox_code_does_not_run() -> None:
    with pytest.raises(SandboxUnavailable, match="for this reason"):
        await run(Isolation(sandbox=None, reason="for this reason"), "def add(a, b): return a + b")


@pytest.mark.parametrize(
    "code",
    ["", "   \n", "x" * 1_000_000, "a\0b", "x = '\ud800'"],
    ids=["empty", "blank", "huge", "binary", "half a character"],
)
async def test_what_is_no_code_is_refused(isolation: Isolation, code: str) -> None:
    with pytest.raises(InvalidInput):
        await run(isolation, code)


@pytest.mark.parametrize(
    ("expected", "got", "type_name", "same"),
    [
        (1, 1, "int", True), (1, 1.0, "int", False), (1, True, "int", False), (0, False, "int", False),
        (1.0, 1, "float", True), (1.0, 1.0000001, "float", True), (1.0, 1.1, "float", False), (1.0, True, "float", False),
        ("1", 1, "str", False), (True, 1, "bool", False), (None, None, "optional[int]", True),
        (None, 0, "optional[int]", False), (1, None, "optional[int]", False), ([1, 2], [1, 2], "list[int]", True),
        ([1, 2], [2, 1], "list[int]", False), ([1], [1, 1], "list[int]", False), ([], {}, "list[int]", False),
        ({"a": 1}, {"a": 1}, "map[int]", True), ({"a": 1}, {"a": 1, "b": 2}, "map[int]", False),
        ([[1], []], [[1], []], "list[list[int]]", True),
    ],
)  # fmt: skip
def test_values_are_compared_strictly_by_type(expected: object, got: object, type_name: str, same: bool) -> None:
    assert matches(expected, got, parse_type(type_name)) is same


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [([1, 2, 2], [2, 1, 2], True), ([1, 2, 2], [1, 1, 2], False), ([1], [1, 1], False), ([], None, False)],
)
def test_lists_in_any_order_are_compared_as_multisets(expected: object, got: object, same: bool) -> None:
    assert matches(expected, got, parse_type("list[int]"), any_order=True) is same


async def test_runs_side_by_side_do_not_wait_for_one_endless_loop(isolation: Isolation) -> None:
    endless = asyncio.create_task(run(isolation, "def add(a, b):\n    while True: pass"))
    await asyncio.sleep(0.1)

    quick = await asyncio.wait_for(run(isolation, "def add(a, b): return a + b"), 3)

    assert quick.verdict == "passed"
    assert not endless.done()
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless


@pytest.mark.parametrize(
    ("language", "code", "status"),
    [
        pytest.param("python", "import sys; sys.exit(-1)", "error", id="python -1"),
        pytest.param("python", "import sys; sys.exit(200)", "error", id="python 200"),
        pytest.param("javascript", "process.exit(255)", "error", id="javascript 255"),
        pytest.param("bash", "exit 255", "error", id="bash 255"),
        pytest.param("c", "int main() { return -1; }", "error", id="c -1"),
        pytest.param("c", "#include <stdlib.h>\nint main() { exit(124); }", "error", id="c 124"),
        pytest.param("c", "int main() { *(volatile int *)0 = 1; }", "error", id="c bad address"),
        pytest.param("python", "import sys\nprint('bwrap: no', file=sys.stderr)\nsys.exit(1)", "error", id="as bwrap"),
        pytest.param("python", "import sys\nprint('launcher: no', file=sys.stderr)\nsys.exit(1)", "error", id="as us"),
        pytest.param("python", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", id="killed"),
    ],
)
async def test_how_a_program_ends_is_its_own_doing(
    sandbox: Sandbox, language: LanguageName, code: str, status: str
) -> None:
    ended = await run_script(sandbox, LANGUAGES[language], code, b"")

    assert ended.status == status
    assert "the program begins" not in ended.stderr


async def test_a_launcher_that_cannot_begin_is_no_fault_of_the_program(sandbox: Sandbox) -> None:
    ended = await sandbox.run(Program(argv=("/nowhere/to/be/found",), files={}))

    assert ended.status == "infrastructure_error"


@pytest.mark.parametrize("script", ["sleep 30", "kill -KILL $$"], ids=["hangs", "is killed"])
async def test_a_launcher_that_never_begins_is_no_fault_of_the_program(script: str) -> None:
    program = Program(argv=("true",), files={}, limits=Limits(wall_seconds=0.5))

    ended = await launch(("sh", "-c", script), program, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})

    assert ended.status == "infrastructure_error"


async def test_right_but_too_slow_is_not_called_endless(sandbox: Sandbox) -> None:
    code = "def add(a, b):\n    while a > 30: pass\n    return a + b"
    large, small = (Case(arguments=(a, 10), expected=a + 10, hidden=True) for a in (400_000, 40))

    graded = await grade(sandbox, FUNCTION_LANGUAGES["python"], code, signature=ADD, cases=[*CASES, large])
    unclear = await grade(sandbox, FUNCTION_LANGUAGES["python"], code, signature=ADD, cases=[*CASES, small])

    assert (graded.verdict, graded.passed > 0) == ("timeout", True)
    assert "too slow for a larger input" in graded.message
    assert "Right so far, but too slow" in feedback(graded, 0)
    assert "does it never end here, or take too many steps?" in unclear.message
    assert "the input that it stopped at" in feedback(unclear, 0)


@pytest.mark.parametrize(
    ("got", "expected", "is_type"),
    [
        ("1.0", "1", True), ("'1'", "1", True), ("1", "'1'", True), ("[1, '2']", "[1, 2]", True), ("True", "1", True),
        ("['a big cup', '1']", "['a \"big\" cup', '1']", False), ("'a…'", "'a…'", False), ("[1.5]", "[1]", False),
        ("'10'", "'1.0'", False), ("[{'a': '1'}]", "[{'a': 1}]", True), ("{'a': 2}", "{'a': 1}", False),
    ],
)  # fmt: skip
def test_only_a_type_that_differs_is_called_one(got: str, expected: str, is_type: bool) -> None:
    case = CaseResult(
        number=1, passed=False, hidden=False, input="", expected=expected, got=got, stdout="", error=None, trace=(), ms=1.0
    )  # fmt: skip
    graded = Graded(verdict="failed", cases=(case,), message="", wall_ms=1)

    assert ("its type is not" in feedback(graded, 0)) is is_type
    assert "its type is not" not in feedback(graded, 0, kind="shell")


async def test_wrong_and_then_endless_is_not_called_right(sandbox: Sandbox) -> None:
    cases = [
        *CASES,
        Case(arguments=(2, 2), expected=4, hidden=True),
        Case(arguments=(99, 1), expected=100, hidden=True),
    ]
    code = "def add(a, b):\n    while a == 99: pass\n    return 3"

    graded = await grade(sandbox, FUNCTION_LANGUAGES["python"], code, signature=ADD, cases=cases)

    assert (graded.verdict, graded.passed) == ("timeout", 1)
    assert "Case 2 was wrong before that" in graded.message


TALES: list[tuple[str, str, str]] = [
    ("def last(n):\n    return float(n)", "4 cases pass", "its type is not"),
    ("def last(n):\n    while n == 3: pass\n    return n", "Is there an endless loop?", "what makes it end?"),
    ("def last(n):\n    while n > 90000: pass\n    return n", "is it too slow for a larger input?", "Right so far"),
    ("def last(n):\n    while n > 90000: pass\n    return n + 1", "Case 1 was wrong before that", "what case 1 should give"),
    ("def last(n):\n    return last(n)", "raised an error", "calls itself too deeply"),
    ("def last(n):\n    return n\nassert last(1) == 2", "AssertionError", "A line outside of the function raised AssertionError"),
    ("def last(n:\n    return n", "SyntaxError", "Look at the line named above"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "advice"), TALES)
async def test_what_went_wrong_is_what_is_spoken_of(sandbox: Sandbox, code: str, message: str, advice: str) -> None:
    signature = Signature(name="last", params=(Parameter(name="n", type="int"),), returns="int")
    cases = [Case(arguments=(n,), expected=n, hidden=False) for n in (5, 70, 3, 100000)]

    graded = await grade(sandbox, FUNCTION_LANGUAGES["python"], code, signature=signature, cases=cases)

    assert message in graded.message
    assert advice in feedback(graded, 0)


ENDS_ITSELF: dict[LanguageName, str] = {
    "go": 'package main\nimport ("fmt"; "os")\nfunc add(a int, b int) int {\n'
    '  if a == 20 { fmt.Println("seen"); os.Exit(1) }\n  return a + b\n}',
    "rust": 'pub fn add(a: i64, b: i64) -> i64 {\n  if a == 20 { println!("seen"); std::process::exit(1); }\n  a + b\n}',
    "c": 'long long add(long long a, long long b) {\n  if (a == 20) { printf("seen\\n"); exit(1); }\n  return a + b;\n}',
    "cpp": 'long long add(long long a, long long b) {\n  if (a == 20) { cout << "seen\\n"; exit(1); }\n  return a + b;\n}',
}


@pytest.mark.parametrize("language", ENDS_ITSELF)
async def test_what_was_printed_before_a_program_ended_itself_is_shown(
    isolation: Isolation, language: LanguageName
) -> None:
    graded = await run(isolation, ENDS_ITSELF[language], language)

    assert (graded.verdict, graded.passed) == ("error", 1)
    assert graded.cases[1].stdout == "seen\n"
