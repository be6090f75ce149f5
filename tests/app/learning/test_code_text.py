"""Code as it was copied, with what stood around it, becomes the code that was meant; its lines keep their numbers."""

import pytest

from app.learning.code_text import as_code, as_text

PLAIN = "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (PLAIN, PLAIN),
        ("\ufeff" + PLAIN.replace("\n", "\r\n"), PLAIN),
        (f"```python\n{PLAIN}\n```\n", f"\n{PLAIN}\n\n"),
        (f"\n```\n{PLAIN}\n  ```", f"\n\n{PLAIN}\n"),
        ("    def add(a, b):\n        return a + b\n", PLAIN + "\n"),
        ("```\n    def add(a, b):\n        return a + b\n```", f"\n{PLAIN}\n"),
        (">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3", f"{PLAIN}\n\nadd(1, 2)\n"),
        ("  x = 1\ny = 2", "  x = 1\ny = 2"),
        ("`one`", "`one`"),
        ("```", "```"),
        ("const s = `\n```\n`", "const s = `\n```\n`"),
        (" \n ", " \n "),
        ("", ""),
    ],
)
def test_what_stood_around_code_is_left_out(sent: str, meant: str) -> None:
    assert as_code(sent) == meant
    assert as_code(sent).count("\n") == as_text(sent).count("\n")


def test_a_text_keeps_its_indentation() -> None:
    assert as_text("\ufeff  a\r\n```\r\n") == "  a\n```\n"
