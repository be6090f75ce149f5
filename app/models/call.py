"""One call of one model: what is sent, what comes back under our time limits, and what it can have cost."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from app.errors import InvalidInput, ProviderErrorKind, ProviderFailed
from app.models import selector
from app.models.breaker import Admission
from app.models.catalog import Model, Task
from app.models.providers.departure import Departure, departing
from app.models.providers.wire import (
    Finished,
    FinishReason,
    Message,
    Prompt,
    StreamEvent,
    TextDelta,
    Usage,
    Wire,
    failed,
)
from app.models.texts import WholeTexts, is_whole
from app.models.tokens import count_tokens

FRAMING_TOKENS = 64  # roles and separators around a prompt
CHARACTERS_PER_TOKEN = 4
# No tokenizer makes tokens of more than 16 characters on average: what sends more does not heed the limit we gave it.
LONGEST_TOKEN_CHARACTERS = 16
SHORTEST_CAP_CHARACTERS = 64_000
MOST_ANSWERED_TOKENS = 131_072  # in one answer, thinking included; a usage block that says more is broken
ADDED_TOKENS = 32_768  # what a gateway on the way may add to a question; a usage block that says more is broken
MOST_BYTES_PER_TOKEN = 64  # of a question, on average; a usage block that says more is broken
MOST_CHARACTERS_PER_TOKEN = 64  # of an answer
LATE_CHARACTERS = 8  # the half of a character that was held back may come after the usage block

USAGE_SECONDS = 5.0
LEAST_SECONDS = 0.5  # that are worth a call
FEWEST_MEASURED_TOKENS, SHORTEST_MEASURED_SECONDS = 20, 0.05  # of an answer whose speed says something
UNSEEN_SHARE = 3  # more tokens than are shown by so much were not for the eye
LONG_SECONDS = 1.0  # after which words that come all at once were held back
FAIR_SECONDS = 30.0  # after which silence speaks against a model, also where its caller has no patience

GO_ON = (
    "Your answer above was cut off by a technical fault. Go on exactly where it stops, in the middle of a word if need "
    "be. Do not repeat anything and do not mention the interruption."
)


@dataclass(frozen=True, kw_only=True)
class CallRequest:
    """What a caller wants answered.

    ``model`` pins one (``provider/name``); None lets the selector choose. With ``others_when_spent`` it chooses too
    where no budget has room for the one that is pinned. ``providers``, where given, are the only ones that are asked,
    in that order. ``stream`` False asks for the whole answer in one piece, which costs half of the processor time.
    ``total_seconds`` may shorten the time that the settings give an answer. Where one is asked for again, since its
    form did not fit, ``request_id`` makes both one request for who asks why, and what it cost.
    """

    task: Task
    user_id: str
    thread_id: str | None
    system: str
    messages: tuple[Message, ...]
    max_output_tokens: int = 2048
    intent: str | None = None
    model: str | None = None
    others_when_spent: bool = False
    providers: tuple[str, ...] = ()
    prefer: selector.Preference | None = None
    allow_burst: bool = False
    stream: bool = True
    total_seconds: float | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """``total_seconds`` is for one answer, in all its calls. The time to connect is the wire's own."""

    first_token_seconds: float
    between_tokens_seconds: float
    total_seconds: float


def check_request(request: CallRequest) -> None:
    """Refuse what no provider would take.

    Raises:
        InvalidInput: no messages, none of them from the user at last, an empty one, or no room for an answer.
    """
    if not request.messages or request.messages[-1].role != "user":
        raise InvalidInput("There is nothing to answer: the last message must be the user's.")
    if any(not message.content.strip() for message in request.messages):
        raise InvalidInput("A message of the conversation is empty.")
    if request.max_output_tokens < 1:
        raise InvalidInput("maxTokens must be at least 1.")
    if not is_whole(request.system) or not all(is_whole(message.content) for message in request.messages):
        raise InvalidInput("A message holds half of a character. Write it again.")


def most_tokens(request: CallRequest) -> int:
    """No tokenizer makes more tokens than there are bytes."""
    texts = [request.system, *(message.content for message in request.messages)]
    return sum(len(text.encode()) for text in texts) + FRAMING_TOKENS * (len(texts) + 1)


def likely_tokens(request: CallRequest) -> int:
    return most_tokens(request) // CHARACTERS_PER_TOKEN


def resent_tokens(shown: str) -> int:
    """What going on from an answer that broke off adds to the question, at most."""
    return len((shown + GO_ON).encode()) + 2 * FRAMING_TOKENS if shown else 0


def hold_microusd(request: CallRequest, model: Model, *, shown: str = "") -> int:
    """The most that a call can cost; ``shown`` is sent again, where it goes on from what broke off."""
    resent = resent_tokens(shown)
    output = min(request.max_output_tokens, model.max_output_tokens)
    most = most_tokens(request) + resent
    costs = (  # what is read from or written to the provider's cache may cost more than other input, or less
        model.cost_microusd(input_tokens=most, cached_tokens=read, cache_write_tokens=written, output_tokens=output)
        for read, written in ((0, 0), (most, 0), (0, most))
    )
    return max(costs)


class Call:
    """One attempt at one model, while it runs, within ``seconds``. ``shown`` is what one that broke off has said."""

    def __init__(
        self, request: CallRequest, model: Model, wire: Wire, *, now: datetime, seconds: float, shown: str = ""
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.model = model
        self.admission: Admission | None = None
        self._wire = wire
        self._seconds = seconds
        self.created_at = now
        self.has_ended = False
        self.was_hurried = False  # its caller gave it too little time to be judged by
        self.cost_microusd = 0
        self.tokens_counted = False
        self.usage: Usage | None = None
        self._claims_more = False
        self.finish: FinishReason | None = None
        self._departure = Departure()
        self.first_token_ms: int | None = None
        self._text: list[str] = []
        self._characters = self._characters_counted = 0
        self._started = time.monotonic()
        output = min(request.max_output_tokens, model.max_output_tokens)
        messages = request.messages
        if shown:
            messages = (*messages, Message(role="assistant", content=shown), Message(role="user", content=GO_ON))
        self.prompt = Prompt(system=request.system, messages=messages, max_output_tokens=output)
        self.hold_microusd = hold_microusd(request, model, shown=shown)
        self._resent_tokens = resent_tokens(shown)
        self._cap = max(SHORTEST_CAP_CHARACTERS, output * LONGEST_TOKEN_CHARACTERS)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def has_said(self) -> bool:
        return bool(self._text)

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def tokens_per_second(self) -> float | None:
        """How fast the answer came, once it began; None where it is too short to tell.

        Where most was thought unseen, or all was held back to the end, there was no answer yet for whoever waited: then
        it is what was shown, over the whole time.
        """
        told = 0 if self.usage is None else self.usage.output_tokens
        if told < FEWEST_MEASURED_TOKENS or not self.request.stream:  # a plain call says nothing of when it began
            return None
        if self._departure.was_held_up:
            return None
        total = self.elapsed_ms() / 1000
        begun = total - (self.first_token_ms or 0) / 1000
        shown = min(told, len(self.text.encode()) / CHARACTERS_PER_TOKEN)
        is_unseen = told > UNSEEN_SHARE * shown
        if is_unseen or (total >= LONG_SECONDS and begun < total / 4):
            return shown / total if total > 0 else None
        return told / begun if begun > SHORTEST_MEASURED_SECONDS else None

    async def events(self, limits: TimeLimits) -> AsyncGenerator[StreamEvent]:
        """What the provider sends, under our time limits.

        Raises:
            ProviderFailed: it refused, broke, was too slow, sent too much, or ended without saying that it ended.
        """
        texts = WholeTexts()
        departing.set(self._departure)  # for good: the first step may run in another task than the rest
        if self.request.stream:
            async with aclosing(self._streamed(limits)) as stream, aclosing(self._until_finished(stream)) as finished:
                async for event in finished:
                    for whole in texts.of(event):
                        self._take(whole)
                        yield whole
            self._check_ended()
            return
        at_once = [whole for event in await self._at_once() for whole in texts.of(event)]
        for whole in at_once:
            self._take(whole)
        self._check_ended()  # before any of it is shown: nobody goes on from what nobody has seen
        for whole in at_once:
            yield whole

    def _check_ended(self) -> None:
        if self.finish in (None, "error"):
            kind: ProviderErrorKind = "network" if self.finish is None else "server"
            raise failed(self.model.provider, kind, before_generation=False)

    async def _until_finished(self, stream: AsyncGenerator[StreamEvent]) -> AsyncGenerator[StreamEvent]:
        """What comes, and no failure once the provider has said that the answer is complete."""
        try:
            async for event in stream:
                yield event
        except ProviderFailed as error:
            if self.finish in (None, "error") or error.kind == "content_filter":
                raise

    async def _streamed(self, limits: TimeLimits) -> AsyncGenerator[StreamEvent]:
        stream = self._wire.stream(self.model, self.prompt)
        deadline = self._started + self._seconds
        # Whatever else it sends, such as what it thinks, or counts of tokens, is no word, and no end.
        next_by = self._started + limits.first_token_seconds
        try:
            while True:
                now = time.monotonic()
                pause = next_by - now
                try:
                    async with asyncio.timeout(min(pause, deadline - now)):
                        event = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    self.was_hurried = self._is_hurried() and deadline - now < pause
                    raise self._too_slow() from error
                had_ended = self.finish is not None
                yield event
                if isinstance(event, TextDelta) or (self.finish is not None and not had_ended):
                    between = limits.between_tokens_seconds  # after its end only its usage is to come
                    next_by = time.monotonic() + (between if self.finish is None else USAGE_SECONDS)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _at_once(self) -> list[StreamEvent]:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._wire.complete(self.model, self.prompt)
        except TimeoutError as error:
            self.was_hurried = self._is_hurried()
            raise self._too_slow() from error

    def _too_slow(self) -> ProviderFailed:
        return failed(self.model.provider, "timeout", before_generation=self._departure.never_left)

    def _is_hurried(self) -> bool:
        return self.request.total_seconds is not None and time.monotonic() - self._started < FAIR_SECONDS

    def _take(self, event: StreamEvent) -> None:
        match event:
            case TextDelta(text=text):
                self._characters += len(text)
                if self._characters > self._cap:
                    raise failed(self.model.provider, "server", before_generation=False)
                self._text.append(text)
                if self.first_token_ms is None:
                    self.first_token_ms = self.elapsed_ms()
            case Usage():
                self.usage = event if self._is_plausible(event) else None
                self._claims_more = self._is_above_all(event)
                self._characters_counted = self._characters
            case Finished(reason=finish):
                self.finish = finish

    def _is_plausible(self, usage: Usage) -> bool:
        """Whether a usage block can be true: whole counts, none of them negative, of the question that was asked and
        what whoever stands between may add to it, and no more than the model can write."""
        counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens)
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            return False
        parts = usage.cached_tokens + usage.cache_write_tokens
        is_of_this = self._most_asked() // MOST_BYTES_PER_TOKEN < usage.input_tokens
        return parts <= usage.input_tokens and is_of_this and not self._is_above_all(usage)

    def _is_above_all(self, usage: Usage) -> bool:
        """Whether a usage block says more than can be."""
        most = max(self.model.max_output_tokens, MOST_ANSWERED_TOKENS)
        counts = ((usage.input_tokens, self._most_asked() + ADDED_TOKENS), (usage.output_tokens, most))
        return any(isinstance(count, int) and count > limit for count, limit in counts)

    def _most_asked(self) -> int:
        return most_tokens(self.request) + self._resent_tokens

    def owes_nothing(self, error: ProviderFailed | None) -> bool:
        """Whether the provider refused before it generated anything, or the call never left."""
        is_refused = error is not None and error.before_generation
        return (is_refused or self._departure.never_left) and not self.has_said

    def _counts_all(self) -> bool:
        """Whether the usage block came, and after all of the text, and counts no less than can be."""
        if self.usage is None or self._characters - self._characters_counted > LATE_CHARACTERS:
            return False
        return self.usage.output_tokens * MOST_CHARACTERS_PER_TOKEN >= self._characters

    async def cost(self, *, stopped: bool = False) -> int:
        """What the provider can have billed, in micro-dollars.

        By its usage block once it has ended its answer; counted by us where it ended without one, or with one that
        does not count what was said; and the whole hold where it did not end or was broken off or stopped before such a
        block, because it may have gone on generating, where it may have thought what nobody sees, or where its block
        says more than can be.
        """
        is_cut = stopped or self.finish == "error"
        if self.finish is None or (is_cut and not self._counts_all()):
            return self.hold_microusd
        if self.usage is None or not self._counts_all():
            self.usage = await self._counted_usage()
            self.tokens_counted = True
            if self.model.thinks_unseen or self._claims_more:
                return self.hold_microusd
        cost = self.model.cost_microusd(
            input_tokens=self.usage.input_tokens, output_tokens=self.usage.output_tokens,
            cached_tokens=self.usage.cached_tokens, cache_write_tokens=self.usage.cache_write_tokens,
        )  # fmt: skip
        return min(cost, self.hold_microusd) if self.tokens_counted else cost

    async def _counted_usage(self) -> Usage:
        provider = self.model.provider
        asked = "\n".join([self.prompt.system, *(message.content for message in self.prompt.messages)])
        framing = FRAMING_TOKENS // 8 * (len(self.prompt.messages) + 1)
        return Usage(
            input_tokens=await count_tokens(asked, provider=provider) + framing,
            output_tokens=await count_tokens(self.text, provider=provider),
        )
