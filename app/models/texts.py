"""Text as it comes from models: JSON may hold halves of characters, and a stream may break between the two."""

from app.models.providers.wire import StreamEvent, TextDelta

_HIGH = ("\ud800", "\udbff")


class WholeTexts:
    """Joins halves of characters (surrogates) that came apart; one that stays alone becomes a replacement character."""

    def __init__(self) -> None:
        self._half = ""

    def of(self, event: StreamEvent) -> StreamEvent | None:
        """The same event with whole text; None where it held only half of a character, which waits for the other."""
        if not isinstance(event, TextDelta):
            return event
        text = self._half + event.text
        if not self._half and _is_whole(text):
            return event
        self._half = ""
        if text and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self._half = text[:-1], text[-1]
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return TextDelta(text=whole) if whole else None


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
