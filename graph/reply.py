"""What a node says: text, blocks and actions, the same for the chat, REST and the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Text:
    """A piece of the answer, as Markdown; pieces follow each other without a break."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A card of the given kind. ``text`` says the same for those who cannot see it, and for snapshots.

    A block with the ``key`` of an earlier one takes its place. What is an aside is not part of the answer: the
    conversation does not go on from it.
    """

    kind: str
    props: Mapping[str, Any]  # Any: JSON
    text: str
    key: str | None = None
    is_aside: bool = False


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button: the words of its label, and the message that pressing it sends."""

    label: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where something long is; shown while it runs and gone afterwards."""

    label: str


Chunk = Text | Block | Action | Progress


@dataclass(kw_only=True)
class Reply:
    """A whole answer, gathered from its chunks."""

    text: str = ""
    blocks: list[Block] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        match chunk:
            case Text(text=text):
                self.text += text
            case Block(key=key):
                self.blocks = [block for block in self.blocks if key is None or block.key != key]
                self.blocks.append(chunk)
            case Action():
                self.actions.append(chunk)
            case Progress():
                pass

    @property
    def plain(self) -> str:
        """Everything that was said, as text."""
        return _joined(self.text.strip(), self.blocks)

    @property
    def remembered(self) -> str:
        """What the conversation goes on from, as text."""
        return _joined(self.text.strip(), [block for block in self.blocks if not block.is_aside])


def _joined(text: str, blocks: list[Block]) -> str:
    return "\n\n".join(part for part in (text, *(block.text for block in blocks)) if part)


class Speaker:
    """Writes chunks to the stream of a turn and remembers them."""

    def __init__(self, write: Callable[[Chunk], None]) -> None:
        self._write = write
        self.reply = Reply()

    def text(self, text: str) -> None:
        self._say(Text(text=text))

    def block(
        self, kind: str, props: Mapping[str, Any], text: str, *, key: str | None = None, is_aside: bool = False
    ) -> None:  # Any: JSON
        self._say(Block(kind=kind, props=props, text=text, key=key, is_aside=is_aside))

    def action(self, label: str, says: str) -> None:
        self._say(Action(label=label, says=says))

    def progress(self, label: str) -> None:
        self._say(Progress(label=label))

    def _say(self, chunk: Chunk) -> None:
        self.reply.add(chunk)
        self._write(chunk)
