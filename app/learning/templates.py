"""Challenge files to start from, one for each kind: sound as they stand, so that one thing can be changed at a time."""

import re

from app.errors import InvalidInput

_HEAD = """id: {id}
title: {title}
concept: {concept}   # see GET /api/v1/concepts or the pool's concepts.yaml
kind: {kind}
level: 1             # 1 (first week) to 5
rating: 800          # 600 to 2400: how hard, on the scale of chess ratings
minutes: 5           # what a fitting learner needs
statement: |
  {statement}
hints:               # a ladder of three: a nudge, the idea, the way step by step
- What must be true of the result?
- Say the steps in plain words before you write them.
- Follow the example by hand, and write down each step that you take; these steps are the solution.
"""
_FUNCTION = """signature:           # int, float, str, bool, list[T], map[T], optional[T]
  name: twice
  params:
  - {{name: number, type: int}}
  returns: int
{starters}examples:            # shown
- {{arguments: [1], expected: 2}}
- {{arguments: [21], expected: 42}}
cases:               # hidden; the statement gives every rule that they test
- {{arguments: [0], expected: 0}}
- {{arguments: [-3], expected: -6}}
- {{arguments: [1000], expected: 2000}}
solutions:
  python: |
    def twice(number):
        return 2 * number
mistakes:            # wrong solutions that people write, each caught by a case, and what they mean
- code: |
    def twice(number):
        return number + 2
  means: Adding two is the same as doubling for one number only. Which?
- code: |
    def twice(number):
        return 2 * abs(number)
  means: What happens to the sign of a negative number?
"""
_STARTERS = """starters:            # what the editor opens with
  python: |
    def twice(number):
        {line}
"""
_ANSWER = """language: python
code: |
  numbers = [1, 2, 3]
  print(numbers[-1])
answer: '3'
wrong:               # each with the misconception behind it
- {answer: '1', means: 'You may have counted from the front. Negative places count from the end.'}
- {answer: '2', means: 'You may have begun to count at zero from the end. The last place is -1.'}
explanation: Negative places count from the end, and -1 is the last one.
"""
_TEST = """signature:
  name: twice
  params:
  - {name: number, type: int}
  returns: int
right:
  python: |
    def twice(number):
        return 2 * number
broken:
- code: {python: 'def twice(number): return number + 2'}
  means: This version adds two. Does your test try a number where that differs?
- code: {python: 'def twice(number): return 2 * abs(number)'}
  means: This version loses the sign. Does your test try a negative number?
- code: {python: 'def twice(number): return 2 * number or 1'}
  means: This version fails for nothing at all. Does your test try zero?
solutions:
  python: |
    def test(function):
        assert function(21) == 42
        assert function(-3) == -6
        assert function(0) == 0
"""
_SQL = """tables: |
  CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, pages INTEGER);
ordered: true        # the order of the rows matters, and the statement says it
examples:            # shown
- rows: |
    INSERT INTO books VALUES (1, 'Tides', 90), (2, 'Atlas', 300);
  expected: [[Atlas]]
cases:               # hidden: NULL, ties, an empty table
- rows: |
    INSERT INTO books VALUES (1, 'B', 100), (2, 'A', 101), (3, 'C', NULL);
  expected: [[A]]
- rows: |
    DELETE FROM books;
  expected: []
solutions:
  sql: |
    SELECT title FROM books WHERE pages > 100 ORDER BY title;
mistakes:
- code: SELECT title FROM books WHERE pages >= 100 ORDER BY title;
  means: What about a book of exactly 100 pages?
- code: SELECT title FROM books ORDER BY title;
  means: Which books should be left out?
"""
_SHELL = """examples:            # shown
- files: {log.txt: "ok\\nerror one\\nerror two\\n"}
  expected: "2\\n"
cases:               # hidden
- files: {log.txt: ""}
  expected: "0\\n"
- files: {log.txt: "no error here\\nerror\\n"}
  expected: "1\\n"
solutions:
  bash: |
    grep -c '^error' log.txt || true
mistakes:
- code: grep -c error log.txt
  means: Does the word have to stand at the beginning of the line?
- code: wc -l < log.txt
  means: Which lines are to be counted?
"""
_BODIES = {
    "write": ("Return twice the `number`. It may be negative or zero.", _FUNCTION.format(starters="")),
    "fix": (
        "The function should return twice the `number`, which may be negative or zero. Repair it.",
        _FUNCTION.format(starters=_STARTERS.format(line="return number + 2")),
    ),
    "complete": (
        "The function should return twice the `number`, which may be negative or zero. Complete it.",
        _FUNCTION.format(starters=_STARTERS.format(line="pass  # Write this part")),
    ),
    "predict": ("What does this program print?", _ANSWER),
    "read": ("Which number does this program print?", _ANSWER),
    "test": (
        "`double` returns twice the `number`, which may be negative or zero. Write `test(function)`: it accepts every\n"
        "  right version and rejects every broken one.",
        _TEST,
    ),
    "sql": ("Return the `title` of each book of more than 100 pages, in the order of the alphabet.", _SQL),
    "shell": ("Print how many lines of `log.txt` begin with the word error.", _SHELL),
}
KINDS = tuple(_BODIES)


def template(challenge_id: str, kind: str, concept: str) -> str:
    """The file's text.

    Raises:
        InvalidInput: the id or the kind is none.
    """
    if kind not in _BODIES:
        raise InvalidInput(f"{kind!r} is no kind of challenge. Say one of: {', '.join(KINDS)}.")
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,79}", challenge_id):
        raise InvalidInput(f"{challenge_id!r} is no id. Use small letters, digits and hyphens, such as count-vowels.")
    statement, body = _BODIES[kind]
    title = challenge_id.replace("-", " ").capitalize()
    return _HEAD.format(id=challenge_id, title=title, concept=concept, kind=kind, statement=statement) + body
