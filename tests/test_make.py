"""What the commands of the Makefile would do again."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FROM = ("pyproject.toml", "requirements.lock", "requirements-dev.lock", ".venv/bin/python")
MADE = (".venv/.run-installed", ".venv/.dev-installed")


def plan(folder: Path, target: str) -> str:
    command = ["make", "--dry-run", "--no-print-directory", target]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["run", "test"])
def test_the_second_time_installs_nothing(tmp_path: Path, target: str) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in (*FROM, *MADE):
        (tmp_path / name).touch()

    second = plan(tmp_path, target)
    for name in MADE:
        (tmp_path / name).unlink()
    first = plan(tmp_path, target)

    assert "pip" not in second
    assert "pip" in first
    assert ("serve" in second) is (target == "run")
