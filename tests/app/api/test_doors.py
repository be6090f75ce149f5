"""The door: who may come in, from where, and what a stranger's page gets."""

import io
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest
from chainlit.auth.jwt import get_jwt_secret
from chainlit.element import File
from fastapi import FastAPI

from app.api.conversation import LONGEST_ID, _thread_id
from app.api.guard import REQUEST_BODY_BYTES
from app.identity.access import AccessService
from app.identity.accounts import AccountService
from app.identity.caller import Caller, current_caller
from app.opening import open_database, utc_now
from app.settings import Settings
from tests.app.api.conftest import client_of, running
from tests.fakes.hashing import quick_hasher

EVIL = "https://evil.example"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        pytest.param("GET", "/api/v1/budget/status", {"host": "evil.example"}, id="rebinding"),
        pytest.param("GET", "/", {"host": "evil.example:8000"}, id="rebinding of the page"),
        pytest.param("GET", "/api/v1/budget/status", {"origin": EVIL}, id="read by another origin"),
        pytest.param(
            "GET", "/api/v1/budget/status", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, id="embedded"
        ),
        pytest.param("POST", "/api/v1/training/start", {"origin": EVIL}, id="act by another origin"),
        pytest.param("POST", "/api/v1/training/start", {"origin": "null"}, id="act from a sandboxed frame"),
        pytest.param("POST", "/api/v1/training/start", {"sec-fetch-site": "cross-site"}, id="act without an origin"),
        pytest.param("POST", "/api/v1/training/start", {"origin": "http://localhost:9999"}, id="another local port"),
        pytest.param("POST", "/login", {"origin": EVIL}, id="login"),
        pytest.param("POST", "/auth/header", {"origin": EVIL}, id="silent sign-in"),
        pytest.param("GET", "/ws/socket.io/?EIO=4&transport=polling", {"origin": EVIL}, id="socket by polling"),
    ],
)
async def test_another_sites_page_gets_nothing(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = await client.request(method, path, headers=headers, json={} if method == "POST" else None)

    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"


async def test_another_sites_websocket_is_closed(app: FastAPI) -> None:
    async def connect(origin: str) -> str:
        sent: list[dict[str, object]] = []
        scope = {
            "type": "websocket", "path": "/ws/socket.io/", "raw_path": b"/ws/socket.io/", "query_string": b"EIO=4&transport=websocket",
            "headers": [(b"host", b"localhost:8000"), (b"origin", origin.encode()), (b"upgrade", b"websocket"), (b"connection", b"Upgrade")], "scheme": "ws", "subprotocols": [],
            "client": ("127.0.0.1", 1), "server": ("localhost", 8000), "root_path": "", "app": app, "asgi": {"version": "3.0"},
        }  # fmt: skip
        received = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])

        async def receive() -> dict[str, object]:
            return next(received)

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await app(scope, receive, send)  # type: ignore[arg-type]
        return str(sent[0]["type"])

    assert await connect(EVIL) == "websocket.close"
    assert await connect("http://localhost:8000") == "websocket.accept"


async def test_on_loopback_rest_acts_as_the_owner_without_a_token(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/budget/status", headers={"origin": "http://localhost:8000"})

    assert response.status_code == 200
    assert response.headers["x-request-id"]
    assert (
        "access-control-allow-origin" not in response.headers
        or EVIL not in response.headers["access-control-allow-origin"]
    )


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/redoc", "/project/share/x", "/mcp", "/auth/oauth/github", "/auth/jwt"]
)
async def test_the_librarys_own_doors_are_closed(client: httpx.AsyncClient, path: str) -> None:
    response = await client.request("POST" if path in ("/mcp", "/auth/jwt") else "GET", path)

    assert response.status_code == 404


async def test_the_page_has_a_policy_and_no_foreign_sources(client: httpx.AsyncClient) -> None:
    page = await client.get("/")

    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "img-src 'self' data:" in policy
    assert page.headers["x-frame-options"] == "DENY"


async def test_the_only_user_is_signed_in_by_the_page_itself(client: httpx.AsyncClient) -> None:
    probe = await client.get("/", headers={"accept": "*/*"})
    framed = {"accept": "text/html", "sec-fetch-dest": "iframe", "sec-fetch-mode": "navigate",
              "sec-fetch-site": "cross-site"}  # fmt: skip
    frame = await client.get("/", headers=framed)
    page = await client.get("/", headers={"accept": "text/html"})
    again = await client.get("/thread/x", headers={"accept": "text/html"})
    user = await client.get("/user")

    assert "set-cookie" not in probe.headers
    assert "set-cookie" not in frame.headers
    assert "httponly" in page.headers["set-cookie"].lower()
    assert "set-cookie" not in again.headers
    assert user.json()["metadata"]["role"] == "admin"


async def test_the_librarys_scripts_are_kept_for_good(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    script = re.search(r'src="(/assets/[^"]+\.js)"', page.text)
    assert script is not None

    loaded = await client.get(script[1])
    known = await client.get(script[1], headers={"if-none-match": loaded.headers["etag"]})
    missing = await client.get("/assets/%2e%2e/index.html")

    assert "immutable" in loaded.headers["cache-control"]
    assert "content-encoding" not in loaded.headers  # the browser is on this machine
    assert (known.status_code, missing.status_code) == (304, 404)


async def test_health_and_the_openapi_document(client: httpx.AsyncClient) -> None:
    health = await client.get("/health")
    document = (await client.get("/api/v1/openapi.json")).json()

    assert health.json() == {"status": "ok"}
    assert "/api/v1/challenges/{challenge_id}/submit" in document["paths"]
    assert document["paths"]["/api/v1/intent/analyze"]["post"]["deprecated"] is True
    assert (await client.get("/api/v1/docs")).status_code == 200


async def test_a_challenge_over_rest(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/api/v1/challenges", params={"concept": "lists", "difficulty": "easy"})).json()
    challenge = "running-total"
    following = (await client.get("/api/v1/challenges/next", params={"concept": "lists"})).json()
    too_early = await client.post(f"/api/v1/challenges/{challenge}/submit", json={"language": "python", "code": "x"})
    started = await client.post(f"/api/v1/challenges/{challenge}/start", json={"language": "python"})
    code = "def running_total(numbers):\n    return [sum(numbers[:i + 1]) for i in range(len(numbers))]"
    graded = (
        await client.post(f"/api/v1/challenges/{challenge}/submit", json={"language": "python", "code": code})
    ).json()
    attempts = (await client.get("/api/v1/challenges/attempts")).json()["items"]

    assert challenge in [item["id"] for item in listed["items"]]
    assert (following["concept"], following["isCheck"]) == ("lists", False)
    assert too_early.status_code == 404
    assert started.status_code == 201
    assert (graded["verdict"], graded["score"], graded["passed"], graded["total"]) == ("passed", 100, 7, 7)
    assert graded["mastery"]["after"] > 0
    assert graded["dueAt"].endswith("Z")
    assert [a["verdict"] for a in attempts] == ["passed"]
    assert "solutions" not in started.text


async def test_attempts_come_in_pages(client: httpx.AsyncClient) -> None:
    challenge = "/api/v1/challenges/running-total"
    await client.post(f"{challenge}/start", json={"language": "python"})
    for number in range(3):
        await client.post(f"{challenge}/submit", json={"language": "python", "code": f"x = {number}"})
    every = (await client.get("/api/v1/challenges/attempts")).json()

    pages, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/v1/challenges/attempts", params=query)).json()
        pages.append([item["attemptId"] for item in page["items"]])
        cursor = page["nextCursor"]
        if cursor is None:
            break
    unknown = await client.get("/api/v1/challenges/attempts", params={"cursor": "x"})

    assert [len(page) for page in pages] == [2, 1]
    assert [one for page in pages for one in page] == [item["attemptId"] for item in every["items"]]
    assert every["nextCursor"] is None
    assert unknown.status_code == 422
    assert "cursor" in unknown.json()["detail"]


def test_a_conversation_has_an_id_that_every_database_takes() -> None:
    ids = [_thread_id("u" * 32, given) for given in ("a", "b" * 26, "b" * 27, "c" * 64)]

    assert ids[:2] == [f"rest-{'u' * 32}-a", f"rest-{'u' * 32}-{'b' * 26}"]
    assert max(map(len, ids)) <= LONGEST_ID
    assert len({*ids, _thread_id("v" * 32, "c" * 64)}) == 5


async def test_a_program_over_rest(client: httpx.AsyncClient) -> None:
    async def run(**body: str) -> httpx.Response:
        return await client.post("/api/v1/sandbox/run", json=body)

    good = (await run(language="python", code="print(input() * 2)", stdin="ab")).json()
    broken = (await run(language="c", code="int main(")).json()
    unknown = await run(language="cobol", code="x")
    empty = await run(language="python", code=" ")

    assert (good["status"], good["stdout"], good["stderr"], good["exitCode"]) == ("ok", "abab\n", "", 0)
    assert good["wallMs"] > 0
    assert (broken["status"], broken["stdout"]) == ("compile_error", "")
    assert "error" in broken["stderr"]
    assert (unknown.status_code, empty.status_code) == (422, 422)


async def test_a_solution_runs_on_ones_own_input_over_rest(client: httpx.AsyncClient) -> None:
    async def run(**body: object) -> httpx.Response:
        return await client.post("/api/v1/sandbox/run", json={"language": "python", **body})

    about: dict[str, object] = {
        "challengeId": "two-sum",
        "code": "def pair_with_sum(numbers, target):\n  return numbers",
    }
    own = (await run(**about, input={"numbers": "[4, 5]"})).json()
    of_the_example = (await run(**about)).json()
    refused = [
        await run(**about, input={"numbers": "[4,"}),
        await run(**about, input={"numbers": [4]}),
        await run(**about, stdin="x"),
        await run(code="print(1)", input={"numbers": "[]"}),
        await run(**{**about, "language": "sql"}),
    ]
    attempts = (await client.get("/api/v1/challenges/attempts")).json()

    assert (own["status"], own["value"], own["stdout"]) == ("ok", "[4, 5]", "")
    assert of_the_example["value"] == "[2, 7, 11, 15]"
    assert [one.status_code for one in refused] == [422] * 5
    assert "`numbers` must be a list of whole numbers" in refused[0].json()["detail"]
    assert (await run(**{**about, "challengeId": "nope"})).status_code == 404
    assert attempts["items"] == []


async def test_giving_up_over_rest(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/challenges/two-sum/start", json={"language": "javascript"})

    revealed = (await client.post("/api/v1/challenges/two-sum/reveal")).json()
    late = await client.post("/api/v1/challenges/two-sum/submit", json={"language": "python", "code": "x = 1"})

    assert (revealed["language"], revealed["status"]) == ("javascript", "revealed")
    assert "function pairWithSum" in revealed["solution"]
    assert late.status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/challenges/nope/start", {}, 404),
        ("/api/v1/challenges/nope/submit", {"language": "python", "code": "x"}, 404),
        ("/api/v1/challenges/running-total/start", {"language": "cobol"}, 422),
        ("/api/v1/challenges/running-total/start", {"surprise": 1}, 422),
        ("/api/v1/training/start", {"concepts": ["cooking"]}, 422),
        ("/api/v1/training/start", {"count": 1000}, 422),
        ("/api/v1/training/nope/answer", {"answer": "a"}, 404),
        ("/api/v1/context/repos", {"path": "/etc"}, 403),
        ("/api/v1/workflow", {"name": "x", "steps": []}, 422),
        ("/api/v1/intent/parse", {"text": ""}, 422),
        ("/api/v1/intent/execute", {"text": "\x00binary"}, 422),
        ("/api/v1/task/schedule", {"workflowId": "nope", "localTime": "09:00"}, 404),
    ],
)
async def test_what_does_not_fit_is_a_problem_document(
    client: httpx.AsyncClient, path: str, body: dict[str, object], status: int
) -> None:
    response = await client.post(path, json=body)

    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert problem["detail"]
    assert problem["requestId"] == response.headers["x-request-id"]


async def test_a_huge_body_is_refused_unread(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/intent/parse", content=b"x", headers={"content-length": str(10**9)})

    assert response.status_code == 413


async def test_broken_json_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/intent/parse", content=b"{", headers={"content-type": "application/json"})

    assert response.status_code == 422


async def test_an_intent_is_parsed_and_executed_as_in_the_chat(client: httpx.AsyncClient) -> None:
    parsed = (await client.post("/api/v1/intent/parse", json={"text": "train me on SQL for 5 questions"})).json()
    done = (await client.post("/api/v1/intent/execute", json={"text": "train me on SQL for 5 questions"})).json()

    assert parsed["intents"][0]["type"] == "learn.review-topic"
    assert parsed["intents"][0]["parameters"] == {"topics": ["sql"], "count": 5}
    assert done["blocks"][0]["kind"] == "QuestionCard"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/api/v1/nothing", 404),
        ("GET", "/api", 404),
        ("GET", "/api/v2/challenges", 404),
        ("DELETE", "/api/v1/challenges", 405),
        ("GET", "/api/v1/intent/execute", 405),
    ],
)
async def test_what_is_no_door_of_the_api_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, headers={"accept": "text/html"})

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["requestId"]
    assert ("allow" in response.headers) is (status == 405)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/stats", "nothing to count"),
        ("/help", "/challenge"),
        ("help", "/challenge"),
        ("/budget anthropic 7", "$7.00"),
        ("/train sql 5", "SQL"),
        ("/workflow", "You have no workflows yet"),
    ],
)
async def test_commands_mean_the_same_over_rest(client: httpx.AsyncClient, text: str, said: str) -> None:
    parsed = (await client.post("/api/v1/intent/parse", json={"text": text})).json()
    done = await client.post("/api/v1/intent/execute", json={"text": text})

    assert (len(parsed["intents"]), parsed["intents"][0]["confidence"]) == (1, 1.0)
    assert done.status_code == 200
    assert said in done.json()["text"]


@pytest.mark.parametrize(
    ("text", "status"),
    [("/share", 422), ("share this chat", 422), ("/keys", 422), ("/nonsense", 422), ("/budget x", 422)],
)
async def test_a_command_that_is_for_the_browser_or_does_not_fit_gets_a_sentence(
    client: httpx.AsyncClient, text: str, status: int
) -> None:
    response = await client.post("/api/v1/intent/execute", json={"text": text})

    assert response.status_code == status
    assert response.json()["detail"]


async def test_parameters_over_rest_have_camel_case_names(client: httpx.AsyncClient) -> None:
    parsed = (await client.post("/api/v1/intent/parse", json={"text": "cap my spending at 5 dollars on chat"})).json()

    assert parsed["intents"][0]["parameters"]["amountUsd"] == 5.0
    assert parsed["intents"][0]["parameters"]["cappedIntent"] == "general.chat"


async def test_the_welcome_is_honest_about_models(client: httpx.AsyncClient) -> None:
    welcome = (await client.get("/api/v1/welcome")).json()

    assert len(welcome["lines"]) == 3
    assert welcome["connected"] is False
    assert "ANTHROPIC_API_KEY" in welcome["lines"][2]


async def _add_accounts(settings: Settings) -> tuple[str, str]:
    """Ada, an administrator with a token to read, and Eve with one to write; returns the two tokens."""
    async with open_database(settings) as database:
        accounts = AccountService(database=database, clock=utc_now, hasher=quick_hasher())
        ada = await accounts.add("ada", "correct horse", role="admin")
        eve = await accounts.add("eve", "battery staple")
        access = AccessService(database=database, accounts=accounts, clock=utc_now)
        _, reading = await access.add_token(ada, "reading", ["read"])
        _, eves = await access.add_token(eve, "eves", ["read", "write"])
    return reading, eves


async def test_a_cookie_is_good_for_its_own_name_only(tmp_path: Path) -> None:
    """Though it is rightly signed: the chat library goes by the name, we go by the sign-in."""
    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")
    await _add_accounts(settings)

    async with running(settings) as app, client_of(app) as client:
        await client.post("/login", data={"username": "eve", "password": "battery staple"})
        claims = jwt.decode(client.cookies["access_token"], get_jwt_secret(), algorithms=["HS256"])
        answers = {}
        for name in ("eve", "ada"):
            cookie = jwt.encode({**claims, "identifier": name}, get_jwt_secret(), algorithm="HS256")
            async with client_of(app, cookies={"access_token": cookie}) as other:
                answers[name] = [(await other.get(path)).status_code for path in ("/user", "/api/v1/budget/status")]

    assert answers == {"eve": [200, 200], "ada": [401, 401]}


async def test_a_sign_in_that_has_ended_opens_nothing_in_whatever_header(tmp_path: Path) -> None:
    """The chat library takes its cookie from an Authorization too, and several Cookie headers as one."""
    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")
    await _add_accounts(settings)

    async with running(settings) as app, client_of(app) as client:
        await client.post("/login", data={"username": "ada", "password": "correct horse"})
        ended = client.cookies["access_token"]
        await client.post("/logout", headers={"origin": "http://localhost:8000"})
        client.cookies.clear()
        by_bearer = [
            (await client.get("/user", headers={"authorization": f"Bearer {ended}"})).status_code,
            (await client.post("/project/threads", headers={"authorization": f"Bearer {ended}"},
                               json={"pagination": {"first": 5}, "filter": {}})).status_code,
        ]  # fmt: skip
        await client.post("/login", data={"username": "eve", "password": "battery staple"})
        eves = client.cookies["access_token"]
        client.cookies.clear()
        two = [("cookie", f"access_token={eves}"), ("cookie", f"x=1; access_token={ended}")]
        answer = await client.get("/user", headers=two)  # type: ignore[arg-type]  # several of one name
        by_two_cookies = answer.json().get("identifier") if answer.status_code == 200 else None

    assert by_bearer == [401, 401]
    assert by_two_cookies in ("eve", None)


async def test_a_token_that_may_not_administer_does_not_by_words_either(tmp_path: Path) -> None:
    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")
    async with open_database(settings) as database:
        accounts = AccountService(database=database, clock=utc_now, hasher=quick_hasher())
        ada = await accounts.add("ada", "correct horse", role="admin")
        access = AccessService(database=database, accounts=accounts, clock=utc_now)
        _, token = await access.add_token(ada, "script", ["read", "write"])

    async with running(settings) as app, client_of(app, headers={"Authorization": f"Bearer {token}"}) as script:
        said = await script.post("/api/v1/intent/execute", json={"text": "/budget anthropic 500"})
        status = (await script.get("/api/v1/budget/status")).json()

    limits = {item["provider"]: item["monthlyUsd"] for item in status["items"]}
    assert said.status_code == 403
    assert limits["anthropic"] == 30


async def test_the_servers_own_folder_is_not_loaded(client: httpx.AsyncClient, data_dir: Path) -> None:
    response = await client.post("/api/v1/context/repos", json={"path": str(data_dir)})

    assert response.status_code == 403
    assert "own data" in response.json()["detail"]


async def test_with_accounts_nothing_is_open_and_logging_out_ends_the_session(tmp_path: Path) -> None:
    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")
    reading, eves = await _add_accounts(settings)

    async with running(settings) as app, client_of(app) as client:
        page = await client.get("/", headers={"accept": "text/html"})
        stranger = await client.get("/api/v1/budget/status")
        silent = await client.post("/auth/header")
        wrong = await client.post("/login", data={"username": "ada", "password": "wrong"})
        right = await client.post("/login", data={"username": "ada", "password": "correct horse"})
        cookie = right.headers["set-cookie"]
        inside = await client.get("/user")
        status = await client.get("/api/v1/budget/status")
        stolen = dict(client.cookies)
        await client.post("/logout", headers={"origin": "http://localhost:8000"})
        async with client_of(app, cookies=stolen) as thief:
            after_user = await thief.get("/user")
            after_rest = await thief.get("/api/v1/budget/status")
        async with client_of(app, headers={"Authorization": f"Bearer {reading}"}) as reader:
            may_read = await reader.get("/api/v1/budget/status")
            may_write = await reader.post("/api/v1/training/start", json={})
        async with client_of(app, headers={"Authorization": f"Bearer {eves}"}) as other:
            no_admin = await other.put("/api/v1/budget/openai", json={"monthlyUsd": 1})
            no_workflow = await other.post("/api/v1/workflow", json={"name": "x", "steps": []})
            await other.put("/api/v1/budget/own", json={"monthlyUsd": 3})
            eves_cap = (await other.get("/api/v1/budget/status")).json()["own"]
        async with client_of(app, headers={"Authorization": f"Bearer {reading}"}) as reader:
            adas_cap = (await reader.get("/api/v1/budget/status")).json()["own"]
        async with client_of(app, headers={"Authorization": "Bearer tooloo_wrong"}) as guess:
            unknown = await guess.get("/api/v1/budget/status")

    assert "set-cookie" not in page.headers
    assert (stranger.status_code, silent.status_code, wrong.status_code) == (401, 400, 401)
    assert right.status_code == 200
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert inside.json()["identifier"] == "ada"
    assert status.status_code == 200
    assert (after_user.status_code, after_rest.status_code) == (401, 401)
    assert (may_read.status_code, may_write.status_code) == (200, 403)
    assert (no_admin.status_code, no_workflow.status_code) == (403, 403)
    assert (eves_cap["monthlyUsd"], adas_cap) == (3, None)
    assert unknown.status_code == 401


async def test_nobody_reads_anothers_thread_or_file_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlit.data._data_layer", None)  # of another test's application
    monkeypatch.setattr("chainlit.data._data_layer_initialized", False)
    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")
    await _add_accounts(settings)
    thread_id, answer = str(uuid.uuid4()), str(uuid.uuid4())

    async with running(settings) as app, client_of(app) as ada, client_of(app) as eve:
        await ada.post("/login", data={"username": "ada", "password": "correct horse"})
        await eve.post("/login", data={"username": "eve", "password": "battery staple"})
        file = File(name="notes.txt", content=b"hers", mime="text/plain", thread_id=thread_id)
        token = current_caller.set(Caller(user=await app.state.services.accounts.by_name("ada")))
        await app.state.history.elements.store(file)
        await app.state.history.keep(
            {"id": answer, "threadId": thread_id, "type": "assistant_message", "name": "TooLoo", "output": "hers"}
        )
        current_caller.reset(token)
        paths = [
            f"/project/thread/{thread_id}",
            f"/project/thread/{thread_id}/element/{file.id}",
            f"/elements/{file.id}",
        ]
        hers = [(await ada.get(path)).status_code for path in paths]
        theirs = [(await eve.get(path)).status_code for path in paths]
        deleted = await eve.request("DELETE", "/project/thread", json={"threadId": thread_id})
        judged = await eve.put("/feedback", json={"sessionId": "x", "feedback": {"forId": answer, "value": 0}})
        renamed = await eve.put("/project/thread", json={"threadId": thread_id, "name": "mine"})
        still = (await ada.get(paths[0])).json()

    assert hers == [200, 200, 200]
    assert judged.status_code == 403
    assert all(status in (401, 403, 404) for status in theirs)
    assert deleted.status_code >= 400
    assert renamed.status_code >= 400
    assert still["name"] != "mine"


async def test_behind_https_cookies_are_secure(tmp_path: Path) -> None:
    settings = Settings(
        tooloo_data_dir=tmp_path, tooloo_public_url="https://coach.example.org", ollama_base_url="http://127.0.0.1:9"
    )
    await _add_accounts(settings)

    async with running(settings) as app, client_of(app) as client:
        silent = await client.post("/auth/header")
        response = await client.post("/login", data={"username": "ada", "password": "correct horse"})

    assert silent.status_code == 400
    assert "secure" in response.headers["set-cookie"].lower()
    assert response.headers["strict-transport-security"]


async def test_another_address_without_accounts_does_not_start(tmp_path: Path) -> None:
    from app.errors import SettingsError

    settings = Settings(tooloo_data_dir=tmp_path, host="0.0.0.0", ollama_base_url="http://127.0.0.1:9")

    with pytest.raises(SettingsError, match="tooloo user add NAME --admin"):
        async with running(settings):
            pass


@pytest.mark.parametrize(
    ("mime", "size", "why"),
    [
        pytest.param("image/png", 10, "File type not allowed", id="a picture"),
        pytest.param("application/octet-stream", 10, "File type not allowed", id="binary"),
        pytest.param("text/plain", 1024 * 1024 + 1, "File size too large", id="too large"),
    ],
)
async def test_uploads_are_small_text(app: FastAPI, mime: str, size: int, why: str) -> None:
    from chainlit.server import validate_file_upload
    from starlette.datastructures import Headers, UploadFile

    upload = UploadFile(io.BytesIO(), size=size, filename="x", headers=Headers({"content-type": mime}))

    with pytest.raises(ValueError, match=why):
        validate_file_upload(upload)


async def test_a_body_of_unknown_length_is_read_no_further_than_one_of_a_known(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * 1024 * 1024:
            sent += 1024 * 1024
            yield b"x" * 1024 * 1024

    refused = await client.post("/api/v1/intent/parse", content=endless(), headers={"content-type": "application/json"})
    short = await client.post(
        "/api/v1/intent/parse", content=_pieces(b'{"text": ', b'"train me on SQL"}'),
        headers={"content-type": "application/json"},
    )  # fmt: skip

    assert (refused.status_code, sent <= REQUEST_BODY_BYTES + 2 * 1024 * 1024) == (413, True)
    assert short.json()["intents"][0]["type"] == "learn.review-topic"


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
