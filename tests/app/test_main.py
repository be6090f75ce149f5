"""What a start costs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SDKS = "{'anthropic', 'openai', 'google.genai', 'litellm'}"


def test_a_start_imports_no_telemetry() -> None:
    program = "import sys, app.chat, chainlit; print(sorted(n for n in sys.modules if n.startswith('traceloop')))"

    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.strip() == "['traceloop', 'traceloop.sdk']", run.stderr


def test_a_start_imports_no_providers_sdk() -> None:
    program = f"import sys, app.main, app.chat.surface; print(sorted({SDKS} & sys.modules.keys()))"

    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert run.stdout.strip() == "[]", run.stderr
