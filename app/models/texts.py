"""Text as it comes from models: JSON may hold halves of characters, and a stream may break between the two."""

from app.models.providers.wire import Finished, StreamEvent, TextDelta, Usage

_HIGH = ("\ud800", "\udbff")


class WholeTexts:
    """Joins halves of characters (surrogates) that came apart; one that stays alone becomes a replacement character."""

    def __init__(self) -> None:
        self._half = ""

    def of(self, event: StreamEvent) -> list[StreamEvent]:
        """The same event with whole text; nothing where it held only half of a character, which waits for the other."""
        if isinstance(event, Usage):
            return [event]
        if isinstance(event, Finished):
            return [*self._text("", is_last=True), event]
        if not self._half and is_whole(event.text):
            return [event]
        return self._text(event.text, is_last=False)

    def _text(self, text: str, *, is_last: bool) -> list[StreamEvent]:
        text, self._half = self._half + text, ""
        if text and not is_last and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self._half = text[:-1], text[-1]
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return [TextDelta(text=whole)] if whole else []


def is_whole(text: str) -> bool:
    """Whether it holds no half of a character, which nothing can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
