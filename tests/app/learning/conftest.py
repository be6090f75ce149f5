"""Each sandbox that there is, for the tests that must hold in all of them."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.learning.sandbox.probe import bubblewrap, landlock
from app.learning.sandbox.program import Sandbox


@pytest.fixture(params=["bubblewrap", "Landlock"])
async def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Whatever ran in it, nothing of it may be left on the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        found = await (bubblewrap() if request.param == "bubblewrap" else landlock())
        assert found.sandbox is not None, found.reason
        yield found.sandbox
        assert list(folder.iterdir()) == []
