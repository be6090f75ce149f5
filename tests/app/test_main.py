"""What a start costs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SDKS = "{'anthropic', 'openai', 'google.genai', 'litellm'}"


def test_a_start_imports_nothing_that_is_never_used(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from app.main import create_app; from app.settings import Settings; "
        f"create_app(Settings(tooloo_data_dir=Path({str(tmp_path)!r}))); "
        "unused = {'traceloop', 'mcp', 'aiohttp', 'redis', 'alembic'}; print(sorted(unused & sys.modules.keys())); "
        "import mcp, aiohttp, redis; print(mcp.ClientSession.__module__)"
    )

    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.splitlines()[-2:] == ["[]", "mcp.client.session"], run.stderr


def test_a_start_imports_no_providers_sdk() -> None:
    program = f"import sys, app.main, app.chat.surface; print(sorted({SDKS} & sys.modules.keys()))"

    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.strip() == "[]", run.stderr


def test_a_command_does_not_wait_for_what_only_the_server_needs() -> None:
    program = (
        "import sys, app.cli.main; "
        "print(sorted({'langgraph', 'dbos', 'chainlit', 'sklearn', 'fsrs'} & sys.modules.keys()))"
    )

    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.strip() == "[]", run.stderr
