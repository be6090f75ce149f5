"""A server on loopback that speaks the four wires: Anthropic, OpenAI (DeepSeek, Ollama and others too), Gemini.

It streams and answers plainly, lists models, checks keys, and breaks in every way that a script tells it to.
"""

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]
Finish = Literal["stop", "length", "content_filter"]
REASONS: dict[str, dict[Finish, str]] = {
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"},
    "openai": {"stop": "stop", "length": "length", "content_filter": "content_filter"},
    "gemini": {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"},
}


@dataclass
class Script:
    """How the next calls are answered. ``cut_after`` closes the connection after so many words."""

    words: tuple[str, ...] = ("Hello", " from", " the", " fake.")
    status: int = 200
    message: str = "as scripted"
    headers: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0
    first_pause_seconds: float = 0.0
    usage: bool = True
    retry_delay: str | None = None
    finish: Finish | None = "stop"
    cut_after: int | None = None
    input_tokens: int = 100
    output_tokens: int = 20
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    endless: bool = False
    raw: str | None = None
    content_type: str | None = None


@dataclass
class FakeProviders:
    """``scripts`` holds one script for each model name, ``queues`` some that come before it, once each; ``calls`` is
    what was asked, in order, with the status it was answered with and whether it was answered to its end."""

    scripts: dict[str, Script] = field(default_factory=dict)
    queues: dict[str, deque[Script]] = field(default_factory=dict)
    ollama_models: tuple[str, ...] = ()
    accepted_keys: frozenset[str] | None = None
    calls: list[Json] = field(default_factory=list)
    closed_early: int = 0
    url: str = ""

    def script(self, model: str) -> Script:
        waiting = self.queues.get(model) or self.queues.get("*")
        if waiting:
            return waiting.popleft()
        return self.scripts.get(model) or self.scripts.get("*") or Script()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self._anthropic, methods=["POST"]),
                Route("/v1/chat/completions", self._openai, methods=["POST"]),
                Route("/chat/completions", self._openai, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/models", self._models),
                Route("/v1beta/models", self._models),
                Route("/v1/models/{call:path}", self._gemini, methods=["POST"]),
                Route("/v1beta/models/{call:path}", self._gemini, methods=["POST"]),
                Route("/api/tags", self._tags),
            ]
        )

    async def _tags(self, _request: Request) -> Response:
        return JSONResponse({"models": [{"name": name, "details": _details(name)} for name in self.ollama_models]})

    async def _models(self, request: Request) -> Response:
        key = (
            request.headers.get("x-api-key")
            or request.headers.get("x-goog-api-key")
            or request.headers.get("authorization", "").removeprefix("Bearer ")
        )
        if self.accepted_keys is not None and key not in self.accepted_keys:
            if "x-goog-api-key" in request.headers:
                details = {"error": {"code": 400, "message": f"bad {key}", "status": "INVALID_ARGUMENT",
                                     "details": [{"reason": "API_KEY_INVALID"}]}}  # fmt: skip
                return JSONResponse(details, status_code=400)
            return JSONResponse({"error": {"type": "authentication_error", "message": f"bad {key}"}}, status_code=401)
        names = ["model-one", "model-two"]
        return JSONResponse(
            {
                "data": [{"id": n, "object": "model", "type": "model", "created": 1, "owned_by": "x",
                          "display_name": n, "created_at": "2026-01-01T00:00:00Z"} for n in names],
                "has_more": False, "first_id": names[0], "last_id": names[-1], "object": "list",
                "models": [{"name": f"models/{n}"} for n in names],
            }
        )  # fmt: skip

    async def _anthropic(self, request: Request) -> Response:
        body, script, call = await self._note("anthropic", request)
        if script.status != 200:
            error = {"type": "error", "error": {"type": "api_error", "message": script.message}}
            return JSONResponse(error, status_code=script.status, headers=script.headers)
        fresh = script.input_tokens - script.cached_tokens - script.cache_write_tokens
        usage = {"input_tokens": fresh, "cache_read_input_tokens": script.cached_tokens,
                 "cache_creation_input_tokens": script.cache_write_tokens, "output_tokens": script.output_tokens}  # fmt: skip
        message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": body["model"],
                         "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}  # fmt: skip
        reason = None if script.finish is None else REASONS["anthropic"][script.finish]
        if not body.get("stream"):
            message |= {"content": [{"type": "text", "text": "".join(script.words)}], "stop_reason": reason,
                        "usage": usage if script.usage else None}  # fmt: skip
            return await self._plain(script, call, message)

        def event(name: str, document: Json) -> str:
            return f"event: {name}\ndata: {json.dumps({'type': name, **document})}\n\n"

        start = [
            event("message_start", {"message": message}),
            event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ]
        words = [
            event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
            for word in script.words
        ]
        end = [event("content_block_stop", {"index": 0})]
        if reason is not None:
            delta: Json = {"delta": {"stop_reason": reason, "stop_sequence": None}}
            if script.usage:
                delta["usage"] = {"output_tokens": script.output_tokens}
            end += [event("message_delta", delta), event("message_stop", {})]
        return self._stream(script, call, start + words + end, words_from=2)

    async def _openai(self, request: Request) -> Response:
        body, script, call = await self._note("openai", request)
        if script.status != 200:
            error = {"error": {"message": script.message, "type": "server_error"}}
            return JSONResponse(error, script.status, headers=script.headers)
        usage = {"prompt_tokens": script.input_tokens, "completion_tokens": script.output_tokens,
                 "total_tokens": script.input_tokens + script.output_tokens,
                 "prompt_tokens_details": {"cached_tokens": script.cached_tokens,
                                           "cache_write_tokens": script.cache_write_tokens}}  # fmt: skip
        reason = None if script.finish is None else REASONS["openai"][script.finish]
        head = {"id": "c1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(script.words)}
            document = {**head, "object": "chat.completion", "usage": usage if script.usage else None,
                        "choices": [{"index": 0, "message": message, "finish_reason": reason}]}  # fmt: skip
            return await self._plain(script, call, document)

        def chunk(choices: list[Json], **more: object) -> str:
            return f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': choices, **more})}\n\n"

        lines = [
            chunk([{"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}])
            for word in script.words
        ]
        if reason is not None:
            lines.append(chunk([{"index": 0, "delta": {}, "finish_reason": reason}]))
        if script.usage and reason is not None:
            lines.append(chunk([], usage=usage))
        if reason is not None:
            lines.append("data: [DONE]\n\n")
        return self._stream(script, call, lines, words_from=0)

    async def _gemini(self, request: Request) -> Response:
        model, _, method = request.path_params["call"].partition(":")
        _, script, call = await self._note("gemini", request, model=model)
        if script.status != 200:
            error: Json = {"error": {"code": script.status, "message": script.message, "status": "UNAVAILABLE"}}
            if script.retry_delay is not None:
                error["error"]["details"] = [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": script.retry_delay}
                ]
            return JSONResponse(error, status_code=script.status, headers=script.headers)
        usage = {"promptTokenCount": script.input_tokens, "candidatesTokenCount": script.output_tokens,
                 "cachedContentTokenCount": script.cached_tokens,
                 "totalTokenCount": script.input_tokens + script.output_tokens}  # fmt: skip

        def document(word: str, *, last: bool) -> Json:
            parts = [{"text": word}] if word else []
            candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
            answer: Json = {"candidates": [candidate]}
            if last and script.finish is not None:
                candidate["finishReason"] = REASONS["gemini"][script.finish]
            if last and script.finish is not None and script.usage:
                answer["usageMetadata"] = usage
            return answer

        if "stream" not in method:
            return await self._plain(script, call, document("".join(script.words), last=True))
        words = script.words or ("",)
        last = len(words) if script.endless else len(words) - 1
        lines = [f"data: {json.dumps(document(w, last=i == last))}\r\n\r\n" for i, w in enumerate(words)]
        return self._stream(script, call, lines, words_from=0)

    async def _note(self, wire: str, request: Request, model: str | None = None) -> tuple[Json, Script, Json]:
        body = await request.json()
        name = model or body["model"]
        script = self.script(name)
        call = {"wire": wire, "model": name, "body": body, "status": script.status, "finished": False,
                "usage": script.usage, "input_tokens": script.input_tokens, "output_tokens": script.output_tokens}  # fmt: skip
        self.calls.append(call)
        return body, script, call

    async def _plain(self, script: Script, call: Json, document: Json) -> Response:
        await asyncio.sleep(script.first_pause_seconds)
        if script.cut_after is not None:
            return StreamingResponse(_cut(), media_type="application/json")
        call["finished"] = script.finish is not None
        call["whole"] = True
        media_type = script.content_type or "application/json"
        return Response(script.raw if script.raw is not None else json.dumps(document), media_type=media_type)

    def _stream(self, script: Script, call: Json, lines: list[str], *, words_from: int) -> Response:
        if script.content_type is not None:
            return Response(script.raw, media_type=script.content_type)

        async def send() -> AsyncIterator[str]:
            done = False
            shown = lines[: words_from + len(script.words)] if script.endless else lines
            try:
                await asyncio.sleep(script.first_pause_seconds)
                for number, line in enumerate(shown):
                    if script.cut_after is not None and number - words_from >= script.cut_after:
                        raise ConnectionResetError("cut as scripted")
                    if number == len(shown) - 1 and not script.endless:  # whoever reads it may be gone right after
                        done = True
                        call["finished"] = script.finish is not None
                    yield script.raw if script.raw is not None and number == words_from else line
                    if script.pause_seconds:
                        await asyncio.sleep(script.pause_seconds)
                while script.endless:
                    yield lines[words_from]
                    await asyncio.sleep(script.pause_seconds)
            finally:
                self.closed_early += not done

        return StreamingResponse(send(), media_type=script.content_type or "text/event-stream")


def _details(name: str) -> Json:
    family = "nomic-bert" if name.startswith("nomic") else "bert" if name.startswith("all-") else name.partition(":")[0]
    return {"family": family, "families": [family]}


async def _cut() -> AsyncIterator[str]:
    yield "{"
    raise ConnectionResetError("cut as scripted")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One for all fakes of a process, in a thread that ends with it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class Running:
    """The fake, served beside the tests. Nobody waits for its end, which takes a server a quarter of a second."""

    def __init__(self, fake: FakeProviders) -> None:
        self.fake = fake
        listening = socket.socket(proto=socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's algorithm on
        listening.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(fake.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._listening = listening

    def __enter__(self) -> FakeProviders:
        asyncio.run_coroutine_threadsafe(self._server.serve(sockets=[self._listening]), _loop())
        while not self._server.started:
            threading.Event().wait(0.01)
        return self.fake

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
