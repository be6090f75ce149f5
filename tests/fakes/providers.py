"""A server on loopback that speaks the four wires: Anthropic, OpenAI (DeepSeek, Ollama and others too), Gemini."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class Script:
    """How the next calls are answered."""

    words: tuple[str, ...] = ("Hello", " from", " the", " fake.")
    status: int = 200
    pause_seconds: float = 0.0
    first_pause_seconds: float = 0.0
    usage: bool = True
    finish: bool = True
    cut_after: int | None = None
    input_tokens: int = 100
    output_tokens: int = 20
    endless: bool = False


@dataclass
class FakeProviders:
    """``scripts`` holds one script for each model name; ``calls`` what was asked, in order."""

    scripts: dict[str, Script] = field(default_factory=dict)
    ollama_models: tuple[str, ...] = ()
    calls: list[dict[str, Any]] = field(default_factory=list)
    closed_early: int = 0
    url: str = ""

    def script(self, model: str) -> Script:
        return self.scripts.get(model) or self.scripts.get("*") or Script()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self._anthropic, methods=["POST"]),
                Route("/v1/chat/completions", self._openai, methods=["POST"]),
                Route("/chat/completions", self._openai, methods=["POST"]),
                Route("/v1/models/{call:path}", self._gemini, methods=["POST"]),
                Route("/v1beta/models/{call:path}", self._gemini, methods=["POST"]),
                Route("/api/tags", self._tags),
            ]
        )

    async def _tags(self, _request: Request) -> Response:
        return JSONResponse({"models": [{"name": name} for name in self.ollama_models]})

    async def _anthropic(self, request: Request) -> Response:
        body, script = await self._note("anthropic", request)
        if script.status != 200:
            error = {"type": "error", "error": {"type": "api_error", "message": "as scripted"}}
            return JSONResponse(error, status_code=script.status)

        def events() -> list[tuple[str, dict[str, Any]]]:
            usage = {"input_tokens": script.input_tokens, "output_tokens": 1}
            message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": body["model"],
                       "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
            start = [
                ("message_start", {"type": "message_start", "message": message}),
                ("content_block_start", {"type": "content_block_start", "index": 0,
                                         "content_block": {"type": "text", "text": ""}}),
            ]  # fmt: skip
            words = [
                ("content_block_delta", {"type": "content_block_delta", "index": 0,
                                         "delta": {"type": "text_delta", "text": word}})
                for word in script.words
            ]  # fmt: skip
            end = [("content_block_stop", {"type": "content_block_stop", "index": 0})]
            if script.finish:
                end += [
                    ("message_delta", {"type": "message_delta",
                                       "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                                       "usage": {"output_tokens": script.output_tokens}}),
                    ("message_stop", {"type": "message_stop"}),
                ]  # fmt: skip
            return start + words + end

        lines = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events()]
        return self._stream(script, lines, words_from=2)

    async def _openai(self, request: Request) -> Response:
        body, script = await self._note("openai", request)
        if script.status != 200:
            return JSONResponse({"error": {"message": "as scripted", "type": "server_error"}}, script.status)

        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}  # fmt: skip
            return f"data: {json.dumps(document)}\n\n"

        lines = [chunk({"role": "assistant", "content": word}) for word in script.words]
        if script.finish:
            lines.append(chunk({}, "stop"))
        if script.usage:
            usage = {"prompt_tokens": script.input_tokens, "completion_tokens": script.output_tokens,
                     "total_tokens": script.input_tokens + script.output_tokens}  # fmt: skip
            document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                        "choices": [], "usage": usage}  # fmt: skip
            lines.append(f"data: {json.dumps(document)}\n\n")
        lines.append("data: [DONE]\n\n")
        return self._stream(script, lines, words_from=0)

    async def _gemini(self, request: Request) -> Response:
        model = request.path_params["call"].split(":")[0]
        _, script = await self._note("gemini", request, model=model)
        if script.status != 200:
            error = {"error": {"code": script.status, "message": "as scripted", "status": "UNAVAILABLE"}}
            return JSONResponse(error, status_code=script.status)

        def chunk(word: str, *, last: bool) -> str:
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}
            document: dict[str, Any] = {"candidates": [candidate]}
            if last and script.finish:
                candidate["finishReason"] = "STOP"
            if last and script.usage:
                document["usageMetadata"] = {
                    "promptTokenCount": script.input_tokens, "candidatesTokenCount": script.output_tokens,
                    "totalTokenCount": script.input_tokens + script.output_tokens,
                }  # fmt: skip
            return f"data: {json.dumps(document)}\r\n\r\n"

        last = len(script.words) - 1
        return self._stream(script, [chunk(w, last=i == last) for i, w in enumerate(script.words)], words_from=0)

    async def _note(self, wire: str, request: Request, model: str | None = None) -> tuple[dict[str, Any], Script]:
        body = await request.json()
        name = model or body["model"]
        self.calls.append({"wire": wire, "model": name, "body": body})
        return body, self.script(name)

    def _stream(self, script: Script, lines: list[str], *, words_from: int) -> Response:
        async def send() -> AsyncIterator[str]:
            done = False
            shown = lines[: words_from + len(script.words)] if script.endless else lines
            try:
                await asyncio.sleep(script.first_pause_seconds)
                for number, line in enumerate(shown):
                    if script.cut_after is not None and number - words_from >= script.cut_after:
                        raise ConnectionResetError("cut as scripted")
                    yield line
                    await asyncio.sleep(script.pause_seconds)
                while script.endless:
                    yield lines[words_from]
                    await asyncio.sleep(script.pause_seconds)
                done = True
            finally:
                self.closed_early += not done

        return StreamingResponse(send(), media_type="text/event-stream")


class Running:
    """The fake, served from a thread of its own."""

    def __init__(self, fake: FakeProviders) -> None:
        self.fake = fake
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(fake.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)

    def __enter__(self) -> FakeProviders:
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.01)
        return self.fake

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
