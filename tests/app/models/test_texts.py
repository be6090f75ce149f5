"""Halves of characters that models send are joined or replaced, wherever a stream breaks."""

import pytest

from app.models.providers.wire import Finished, TextDelta
from app.models.texts import WholeTexts


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        pytest.param(["plain ", "grüße 😀"], "plain grüße 😀", id="whole"),
        pytest.param(["a\ud83d", "\ude00b"], "a😀b", id="apart"),
        pytest.param(["a\ud83d\ude00b"], "a😀b", id="in one piece, as two"),
        pytest.param(["a\ud83d", "b"], "a\ufffdb", id="the second half is missing"),
        pytest.param(["\ude00b"], "\ufffdb", id="the first half is missing"),
        pytest.param(["b\ud83d"], "b\ufffd", id="half of the last one"),
    ],
)
def test_text_is_whole(sent: list[str], text: str) -> None:
    texts = WholeTexts()

    events = [*(TextDelta(text=part) for part in sent), Finished(reason="stop")]
    got = [whole for event in events for whole in texts.of(event)]

    assert "".join(one.text for one in got if isinstance(one, TextDelta)) == text
    assert got[-1] == Finished(reason="stop")


def test_what_is_no_text_is_left_alone() -> None:
    end = Finished(reason="stop")

    assert WholeTexts().of(end) == [end]
