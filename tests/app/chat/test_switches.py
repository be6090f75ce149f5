"""What the chat library would do if it were let: these switches stay off (each was seen to leak or to lose something)."""

import tomllib
from pathlib import Path

import pytest

CONFIG = tomllib.loads((Path(__file__).parents[3] / ".chainlit" / "config.toml").read_text())
FEATURES, PROJECT = CONFIG["features"], CONFIG["project"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param(FEATURES["allow_thread_sharing"], False, id="its own sharing leaks tool inputs and ids"),
        pytest.param(FEATURES["edit_message"], False, id="Stop does not reach an edited message"),
        pytest.param(FEATURES["unsafe_allow_html"], False, id="stored script"),
        pytest.param(FEATURES["mcp"]["enabled"], False, id="programs started by a client"),
        pytest.param(FEATURES["audio"]["enabled"], False, id="not offered"),
        pytest.param(PROJECT["allow_origins"], [], id="any origin with credentials"),
        pytest.param(PROJECT["persist_user_env"], False, id="keys of people in the database"),
    ],
)
def test_what_is_closed_stays_closed(value: object, wanted: object) -> None:
    assert value == wanted


def test_what_a_session_may_take_is_bounded() -> None:
    uploads = FEATURES["spontaneous_file_upload"]

    assert (uploads["max_files"], uploads["max_size_mb"]) == (5, 1)
    assert PROJECT["session_timeout"] <= 600
    assert PROJECT["user_session_timeout"] <= 7 * 24 * 3600
