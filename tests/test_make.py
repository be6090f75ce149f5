"""What the commands of the Makefile would do again."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("target", ["run", "test"])
def test_a_second_time_installs_nothing(target: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert "pip" not in plan
    assert "venv .venv" not in plan
    assert ("serve" in plan) is (target == "run")
