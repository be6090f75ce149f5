"""What is refused before it is graded: never a solution in the language that was asked for, whatever it looks like."""

import pytest

from app.errors import InvalidInput
from app.learning import kinds, not_a_solution
from app.learning.challenge_files import AnswerChallenge, Challenge
from app.learning.curriculum import load_curriculum
from app.learning.languages import LANGUAGES
from app.learning.languages.base import LanguageName

CHALLENGES = [one for one in load_curriculum().challenges if not isinstance(one, AnswerChallenge)]
SOLUTIONS = [
    (challenge, language, kinds.solution_of(challenge, language)[1])
    for challenge in CHALLENGES
    for language in challenge.languages
    if kinds.solution_of(challenge, language)[0] in (language, "javascript")
]


def _challenge(language: LanguageName) -> Challenge:
    return next(challenge for challenge in CHALLENGES if language in challenge.languages)


@pytest.mark.parametrize("language", sorted({language for _, language, _ in SOLUTIONS}))
def test_no_reference_solution_is_taken_for_another_language(language: LanguageName) -> None:
    own = [(challenge, code) for challenge, written_in, code in SOLUTIONS if written_in == language]

    for challenge, code in own:
        not_a_solution.check(challenge, language, code)

    assert own


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("cpp", "#include <unordered_map>\nstatic int helper(int a) {\n  return a;\n}"),
        ("c", "static bool is_late(long long day) {\n  return day > 3;\n}\nint main(void) { return 0; }"),
        ("c", "int total(int n)\n{\n  return n;\n}"),
        ("bash", "#!/usr/bin/env bash\nfunction total() {\n  wc -l < log.txt\n}\ntotal"),
        ("bash", "function total() {\n  echo 3\n}\ntotal"),
        ("bash", "function total() {\n  head -n 3 log.txt\n}\ntotal"),
        ("javascript", "class Solution {\n  static sum(a) { return 1; }\n}\nconst sum = Solution.sum;"),
        ("typescript", "class A {\n  static f(a: number): number { return 1; }\n}\nexport const g = (a: number) => a"),
        ("cpp", "class Solution {\n  static string f(string s) { return s; }\n};"),
        ("java", "class Solution {\n  static int twice(int n) {\n    return 2 * n;\n  }\n}"),
        ("java", "static int twice(int n) {\n  return 2 * n;\n}"),
        ("python", "class Stack:\n    def push(self, item):\n        self.items.append(item)"),
    ],
)
def test_unusual_code_of_the_language_is_an_attempt(language: LanguageName, code: str) -> None:
    not_a_solution.check(_challenge(language), language, code)


@pytest.mark.parametrize("wanted", ["python", "javascript", "go", "rust", "ruby"])
def test_most_solutions_in_another_language_are_told_by_its_name(wanted: LanguageName) -> None:
    challenge = _challenge(wanted)
    for language in ("python", "java", "go", "rust", "ruby", "c", "cpp", "javascript"):
        codes = [code for _, written_in, code in SOLUTIONS if written_in == language != wanted]
        told = 0
        for code in codes:
            try:
                not_a_solution.check(challenge, wanted, code)
            except InvalidInput as refused:
                told += LANGUAGES[language].title in refused.user_message  # type: ignore[index]  # one of them
        assert told >= 0.8 * len(codes), language
