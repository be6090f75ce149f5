"""``make bench``: figures of one run on this machine, as a Markdown table. Never asserted; compare them within one run."""

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import httpx
import socketio

from tests.bench import gateway, memory, progress, spender
from tests.e2e.conftest import Server
from tests.fakes.providers import FakeProviders, Running, Script

README = Path(__file__).parents[2] / "README.md"
Rows = list[tuple[str, str]]


class Session:
    """One chat over the websocket, as the browser's client speaks."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket = socketio.AsyncClient()
        self._done = asyncio.Event()
        self.first_token_at = 0.0

    async def open(self) -> None:
        import uuid

        async with httpx.AsyncClient(base_url=self._server.url) as client:
            await client.post("/auth/header")
            cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        self._socket.on("task_end", lambda _: self._done.set())
        self._socket.on("stream_start", self._first)
        await self._socket.connect(
            self._server.url, headers={"Cookie": cookies}, socketio_path="/ws/socket.io", transports=["websocket"],
            auth={"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}", "chatProfile": "", "threadId": ""},
        )  # fmt: skip
        await self._socket.emit("connection_successful")
        await asyncio.wait_for(self._done.wait(), 20)

    def _first(self, _: object) -> None:
        self.first_token_at = self.first_token_at or time.perf_counter()

    async def say(self, text: str) -> tuple[float, float]:
        """Milliseconds to the first token and to the end."""
        import uuid

        self._done.clear()
        self.first_token_at = 0.0
        began = time.perf_counter()
        message = {
            "id": str(uuid.uuid4()),
            "name": "user",
            "type": "user_message",
            "output": text,
            "createdAt": "2026-01-01T00:00:00Z",
        }
        await self._socket.emit("client_message", {"message": message, "fileReferences": []})
        await asyncio.wait_for(self._done.wait(), 60)
        return ((self.first_token_at or time.perf_counter()) - began) * 1000, (time.perf_counter() - began) * 1000

    async def close(self) -> None:
        await self._socket.disconnect()


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def ms(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} ms (95th percentile {ordered[int(len(ordered) * 0.95) - 1]:.0f} ms)"


async def echo(server: Server, sessions: int, turns: int) -> list[float]:
    """Round trips of a message that needs no model, from many sessions at once."""
    opened = [Session(server) for _ in range(sessions)]
    for session in opened:
        await session.open()

    async def talk(session: Session) -> list[float]:
        return [(await session.say("what have I spent"))[1] for _ in range(turns)]

    results = await asyncio.gather(*(talk(session) for session in opened))
    for session in opened:
        await session.close()
    return [value for result in results for value in result]


async def overhead(server: Server, provider_ms: float) -> list[float]:
    session = Session(server)
    await session.open()
    values = [(await session.say("tell me about the history of unix"))[0] - provider_ms for _ in range(20)]
    await session.close()
    return values


async def verdicts(server: Server) -> list[float]:
    code = "def running_total(numbers):\n    return [sum(numbers[:i + 1]) for i in range(len(numbers))]"
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", timeout=30) as client:
        await client.post("/challenges/running-total/start", json={"language": "python"})
        values = []
        for _ in range(20):
            began = time.perf_counter()
            answer = await client.post("/challenges/running-total/submit", json={"language": "python", "code": code})
            answer.raise_for_status()
            values.append((time.perf_counter() - began) * 1000)
    return values


def first_page(server: Server) -> float:
    began = time.perf_counter()
    urllib.request.urlopen(server.url).read()
    return (time.perf_counter() - began) * 1000


def measure() -> Rows:
    rows: Rows = []
    provider_ms = 50.0
    with tempfile.TemporaryDirectory() as folder, Running(FakeProviders()) as fake:
        fake.scripts["*"] = Script(first_pause_seconds=provider_ms / 1000)
        server = Server(Path(folder), OPENAI_API_KEY="sk-bench", OPENAI_BASE_URL=f"{fake.url}/v1")
        server.start()
        server.stop()
        rows.append(("server ready (second start)", f"{server.start():.1f} s"))
        rows.append(("first page", f"{first_page(server):.0f} ms"))
        assert server.process is not None
        rows.append(("memory, idle", f"{resident_mb(server.process.pid):.0f} MB"))
        rows.append(("echo round trip, 1 session", ms(asyncio.run(echo(server, 1, 20)))))
        rows.append(("echo round trip, 50 sessions at once", ms(asyncio.run(echo(server, 50, 4)))))
        rows.append(
            (
                "turn overhead: message in to first token out, less the provider's time",
                ms(asyncio.run(overhead(server, provider_ms))),
            )
        )
        rows.append(("submit to verdict (Python, 7 cases, REST)", ms(asyncio.run(verdicts(server)))))
        server.stop()
    return rows + money() + memory.rows() + progress.rows()


def money() -> Rows:
    """The selector, the purse and the gateway, beside LiteLLM on the same fake."""
    rows: Rows = [("decision among 50 candidates", f"{gateway.decision_ms():.2f} ms")]
    waited, processor = asyncio.run(gateway.log_ms())
    rows.append(("call log: what an answer waits for it", f"{waited:.3f} ms; processor time {processor:.2f} ms a call"))
    purse, bare = asyncio.run(gateway.purse_ms())
    rows.append(("reserve and settle a call, processor time",
                 f"{purse:.2f} ms; the same statements by the bare driver {bare:.2f} ms"))  # fmt: skip
    tokens = spender.scripted_tokens()
    with Running(FakeProviders()) as fake:
        fake.scripts["*"] = Script(words=tuple(" word" for _ in range(24)))
        rows += gateway.compare(fake.url)
    for kind in spender.KINDS:
        for processes in (1, 3):
            rows.append((f"overspend factor, 200 calls at once on a budget for 20, {kind}, {processes} process(es)",
                         f"{overspend(kind, processes, tokens):.2f}"))  # fmt: skip
    with Running(FakeProviders()) as fake:
        fake.scripts["*"] = Script(**tokens, first_pause_seconds=0.2)
        dollars = (tokens["input_tokens"] * 0.25 + tokens["output_tokens"] * 2) / 1_000_000
        went = asyncio.run(gateway.router_overspend(fake.url, calls=200, budget_for=20, call_usd=dollars))
    rows.append(("overspend factor, LiteLLM Router, the same 200 plain calls from 1 process", f"{went / 20:.2f}"))
    return rows


def overspend(kind: spender.Kind, processes: int, tokens: dict[str, int]) -> float:
    """What the fake provider bills over the budget's limit: at most 1."""
    with tempfile.TemporaryDirectory() as folder, Running(FakeProviders()) as fake:
        fake.ollama_models = (spender.FREE,)
        fake.scripts[spender.FREE] = Script(status=401)
        fake.scripts["*"] = Script(**tokens, pause_seconds=0.01)
        order = spender.Order(
            data_dir=folder, database_url=None, fake_url=fake.url, kinds=(kind,), calls=200, starts_at=0
        )
        limit = asyncio.run(spender.prepare(order, budget_for=20))
        spender.fire_from(processes, order)
        return spender.billed_microusd(fake.calls) / limit


def table(rows: Rows) -> str:
    return "\n".join(["| Figure | Median |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    os.environ.pop("OPENAI_API_KEY", None)
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    text = table(measure())
    print(text)
    if "--readme" in sys.argv:
        readme = README.read_text(encoding="utf-8")
        filled = re.sub(
            r"<!-- bench -->.*<!-- /bench -->", f"<!-- bench -->\n{text}\n<!-- /bench -->", readme, flags=re.DOTALL
        )
        README.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
