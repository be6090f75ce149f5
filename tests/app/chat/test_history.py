"""History over our own tables: nothing is lost or reordered, and nobody touches what is another's."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from chainlit.element import CustomElement, File
from chainlit.types import Feedback, Pagination, ThreadFilter

from app.chat.documents import title_of
from app.chat.history import History
from app.chat.sharing import SharePages, SharingService
from app.chat.snapshots import redact, snapshot
from app.errors import InvalidInput, NotAllowed, NotFound
from app.identity.accounts import AccountService, User
from app.identity.caller import Caller, current_caller
from app.storage.database import Database
from app.storage.tables.history import steps
from tests.fakes.clock import Clock

TEMPLATES = Path(__file__).parents[3] / "app" / "chat" / "templates"
HIDDEN_QUEUE = "__wrapped__"  # the library's decorator waits for a websocket session; tests call what is beneath it


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    token = current_caller.set(Caller(user=user, scopes=("read", "write")))
    yield
    current_caller.reset(token)


class Direct:
    """The data layer's methods without the library's queue."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.elements = history.elements

    def __getattr__(self, name: str) -> object:
        method = getattr(History, name)
        inner = getattr(method, HIDDEN_QUEUE, method)
        return inner.__get__(self._history)


@pytest.fixture
def forgotten() -> list[str]:
    return []


@pytest.fixture
def judged() -> list[tuple[str, float | None]]:
    return []


@pytest.fixture
def history(
    database: Database, accounts: AccountService, tmp_path: Path, clock: Clock, forgotten: list[str],
    judged: list[tuple[str, float | None]],
) -> History:  # fmt: skip
    async def forget(_user_id: str, thread_id: str) -> None:
        forgotten.append(thread_id)

    async def judge(call_id: str, value: float | None) -> None:
        judged.append((call_id, value))

    return History(
        database=database, accounts=accounts, folder=tmp_path / "elements", clock=clock, forget=forget, judged=judge
    )


@pytest.fixture
def layer(history: History) -> Direct:
    return Direct(history)


def step(thread_id: str, output: str = "hello", **more: object) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()), "threadId": thread_id, "type": "user_message", "name": "ada", "output": output,
        "createdAt": "2026-03-02T09:00:00.000000Z", **more,
    }  # fmt: skip


@pytest.fixture
def thread_id() -> str:
    return str(uuid.uuid4())


async def test_what_was_said_comes_back_in_order_with_its_command(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id, "second", createdAt="2026-03-02T09:00:01Z"))
        await layer.create_step(step(thread_id, "first", command="train", metadata={"deep": {"list": [1]}}, tags=["x"]))

        thread = await layer.get_thread(thread_id)

    assert [s["output"] for s in thread["steps"]] == ["first", "second"]
    assert thread["steps"][0]["command"] == "train"
    assert thread["steps"][0]["metadata"] == {"deep": {"list": [1]}}
    assert thread["userIdentifier"] == "ada"


async def test_an_update_is_never_lost_to_the_create_that_it_overtook(layer: Direct, ada: User, thread_id: str) -> None:
    created = step(thread_id, "", type="assistant_message", end="2026-03-02T09:00:00Z")
    final = {**created, "output": "the whole answer"}
    with acting_as(ada):
        await layer.update_step(final)
        await layer.create_step(created)

        thread = await layer.get_thread(thread_id)

    assert [s["output"] for s in thread["steps"]] == ["the whole answer"]


async def test_a_hundred_steps_at_once_are_all_kept(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await asyncio.gather(*(layer.create_step(step(thread_id, str(n))) for n in range(100)))

        thread = await layer.get_thread(thread_id)

    assert {s["output"] for s in thread["steps"]} == {str(n) for n in range(100)}


async def test_the_librarys_frames_are_not_kept(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id, type="run", name="on_message"))

        assert await layer.get_thread(thread_id) is None


@pytest.mark.parametrize(
    ("output", "command", "kept"),
    [
        ("/keys openai abcdefghijkl", None, "/keys"),
        ("\n/keys\nabcdefghijkl", None, "/keys"),
        ("/KEYS: abcdefghijkl", None, "/keys"),
        ("/key=abcdefghijkl", None, "/keys"),
        ("abcdefghijkl", "keys", "/keys"),
        ("my key is sk-proj-abcdefghijkl", None, "my key is [key]"),
        ("please /keys openai abcdefghijkl", None, "please /keys [key]"),
        ("//keys openai abcdefghijkl now", None, "//keys [key] now"),
    ],
)
async def test_a_key_that_was_typed_into_the_chat_is_kept_nowhere(
    layer: Direct, ada: User, database: Database, thread_id: str, output: str, command: str | None, kept: str
) -> None:
    message = step(thread_id, output, command=command)

    with acting_as(ada):
        await layer.create_step(message)
        await layer.update_step(message)

    async with database.read() as connection:
        rows = [dict(row._mapping) for row in await connection.execute(sa.select(steps))]
    assert [row["output"] for row in rows] == [kept]
    assert "abcdefghijkl" not in str(rows)


async def test_a_step_without_a_time_gets_one(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id, createdAt=None))

        thread = await layer.get_thread(thread_id)

    assert thread["steps"][0]["createdAt"] is not None


async def test_nobody_writes_into_anothers_thread(layer: Direct, ada: User, eve: User, thread_id: str) -> None:
    mine = step(thread_id, "mine")
    with acting_as(ada):
        await layer.create_step(mine)

    with acting_as(eve):
        for touch in (
            layer.create_step(step(thread_id, "intruder")),
            layer.update_step({**mine, "output": "changed"}),
            layer.update_step({**mine, "threadId": str(uuid.uuid4()), "output": "taken over"}),
            layer.delete_step(mine["id"]),
            layer.update_thread(thread_id, name="mine now"),
            layer.delete_thread(thread_id),
            layer.upsert_feedback(Feedback(forId=str(mine["id"]), value=0)),
            layer.create_element(CustomElement(name="Verdict", props={}, thread_id=thread_id)),
        ):
            with pytest.raises(NotAllowed):
                await touch

    with acting_as(ada):
        thread = await layer.get_thread(thread_id)
    assert [s["output"] for s in thread["steps"]] == ["mine"]


async def test_a_thumb_for_the_frame_of_an_answer_judges_the_answer_and_its_model(
    layer: Direct, ada: User, thread_id: str, judged: list[tuple[str, float | None]]
) -> None:
    frame = str(uuid.uuid4())
    answer = step(thread_id, "Hello.", type="assistant_message", parentId=frame, metadata={"callId": "call-1"})

    with acting_as(ada):
        await layer.create_step(answer)
        feedback_id = await layer.upsert_feedback(Feedback(forId=frame, value=1))
        await layer.upsert_feedback(Feedback(forId=frame, value=0))
        thread = await layer.get_thread(thread_id)
        await layer.delete_feedback(feedback_id)

    assert thread["steps"][-1]["feedback"]["value"] == 0
    assert judged == [("call-1", 1.0), ("call-1", 0.0), ("call-1", None)]


async def test_feedback_comes_back_and_only_its_owner_deletes_it(
    layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    mine = step(thread_id)
    with acting_as(ada):
        await layer.create_step(mine)
        feedback_id = await layer.upsert_feedback(Feedback(forId=str(mine["id"]), value=1, comment="good"))
        again = await layer.upsert_feedback(Feedback(forId=str(mine["id"]), value=0))
    with acting_as(eve):
        by_eve = await layer.delete_feedback(feedback_id)
    with acting_as(ada):
        thread = await layer.get_thread(thread_id)
        by_ada = await layer.delete_feedback(feedback_id)

    assert again == feedback_id
    assert thread["steps"][0]["feedback"]["value"] == 0
    assert (by_eve, by_ada) == (False, True)


async def test_an_elements_file_is_on_disk_and_for_its_owner(
    layer: Direct, ada: User, eve: User, thread_id: str, tmp_path: Path
) -> None:
    file = File(name="notes.txt", content=b"private", mime="text/plain", thread_id=thread_id)
    with acting_as(ada):
        await layer.create_step(step(thread_id))
        await layer.create_element(file)
        path, mime, name = await layer.elements.file(file.id, ada.id)
        thread = await layer.get_thread(thread_id)

    assert (path.read_bytes(), mime, name) == (b"private", "text/plain", "notes.txt")
    assert path.is_relative_to(tmp_path)
    assert thread["elements"][0]["url"] == f"/elements/{file.id}"
    with pytest.raises(NotFound):
        await layer.elements.file(file.id, eve.id)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "<script>alert(1)</script>", "a\nb", "x" * 300])
async def test_a_hostile_element_name_is_replaced(layer: Direct, ada: User, thread_id: str, name: str) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id))
        await layer.create_element(File(name=name, content=b"x", mime="text/plain", thread_id=thread_id))
        thread = await layer.get_thread(thread_id)

    assert thread["elements"][0]["name"] == "file.txt"


async def test_only_our_own_cards_are_stored(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada), pytest.raises(InvalidInput):
        await layer.create_element(CustomElement(name="../evil", props={}, thread_id=thread_id))


async def test_the_sidebar_lists_and_searches_ones_own(layer: Direct, ada: User, eve: User, clock: Clock) -> None:
    for user, words in ((ada, "binary search"), (ada, "100% of stacks"), (eve, "binary trees")):
        thread = str(uuid.uuid4())
        with acting_as(user):
            await layer.update_thread(thread, name=words)
            await layer.create_step(step(thread, f"about {words}"))
        clock.move(minutes=1)

    async def names(search: str | None, *, of: User = ada) -> list[str | None]:
        with acting_as(ada):
            found = await layer.list_threads(Pagination(first=10), ThreadFilter(userId=of.id, search=search))
        return [thread["name"] for thread in found.data]

    assert await names(None) == ["100% of stacks", "binary search"]
    assert await names(None, of=eve) == ["100% of stacks", "binary search"]  # whoever is named, one's own are listed
    assert await names("binary") == ["binary search"]
    assert await names("100%") == ["100% of stacks"]
    assert await names("%") == ["100% of stacks"]


async def test_the_sidebar_pages_without_gaps(layer: Direct, ada: User, clock: Clock) -> None:
    for number in range(5):
        with acting_as(ada):
            await layer.update_thread(str(uuid.uuid4()), name=str(number))
        clock.move(minutes=1)

    with acting_as(ada):
        mine = ThreadFilter(userId=ada.id)
        first = await layer.list_threads(Pagination(first=3), mine)
        rest = await layer.list_threads(Pagination(first=3, cursor=first.pageInfo.endCursor), mine)

    assert [t["name"] for t in [*first.data, *rest.data]] == ["4", "3", "2", "1", "0"]
    assert (first.pageInfo.hasNextPage, rest.pageInfo.hasNextPage) == (True, False)


async def test_a_deleted_thread_takes_everything_with_it(
    layer: Direct, ada: User, thread_id: str, tmp_path: Path, forgotten: list[str]
) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id))
        await layer.create_element(File(name="a.txt", content=b"x", mime="text/plain", thread_id=thread_id))
        await layer.delete_thread(thread_id)

        assert await layer.get_thread(thread_id) is None
    assert [path for path in (tmp_path / "elements").rglob("*") if path.is_file()] == []
    assert forgotten == [thread_id]


async def test_session_values_are_not_kept(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await layer.update_thread(
            thread_id, name="x", metadata={"env": {"KEY": "secret"}, "is_shared": True, "id": "x"}
        )

        thread = await layer.get_thread(thread_id)

    assert thread["metadata"] == {}


@pytest.mark.parametrize(
    ("text", "title"),
    [("hello", "hello"), ("```python\nprint(1)\n```", "python"), ("  \n\n# A title  here ", "A title here"),
     ("x" * 500, "x" * 119 + "…"), ("", "New chat"), ("***", "New chat"),
     ("/keys anthropic abcdefghijkl", "/keys"), ("sk-ant-0123456789abcdef", "[key]"),
     ("how do I use /keys here?", "how do I use /keys here?")],
)  # fmt: skip
def test_titles_are_one_short_line(text: str, title: str) -> None:
    assert title_of(text) == title


@pytest.fixture
def sharing(database: Database, history: History, clock: Clock) -> SharingService:
    return SharingService(database=database, history=history, clock=clock)


async def _talk(layer: Direct, user: User, thread_id: str) -> None:
    with acting_as(user):
        await layer.update_thread(thread_id, name="Stacks")
        await layer.create_step(step(thread_id, "explain stacks in /home/ada/project/x.py"))
        await layer.create_step(
            step(thread_id, "A stack is LIFO.", type="assistant_message", createdAt="2026-03-02T09:00:01Z",
                 metadata={"blocks": [{"kind": "Verdict", "text": "All cases pass."}]})
        )  # fmt: skip
        await layer.create_step(step(thread_id, "tool output", type="tool", input="secret input"))


async def test_a_link_is_a_draft_until_it_is_published_and_gone_when_revoked(
    sharing: SharingService, layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    await _talk(layer, ada, thread_id)
    link, token = await sharing.draft(ada, thread_id, audience="public", days=7)

    assert (await sharing.read(token, ada)).published is False
    with pytest.raises(NotFound):
        await sharing.read(token, None)
    with pytest.raises(NotFound):
        await sharing.publish(eve, link.id)
    await sharing.publish(ada, link.id)
    assert (await sharing.read(token, None)).title == "Stacks"
    with pytest.raises(NotFound):
        await sharing.revoke(eve, link.id)
    await sharing.revoke(ada, link.id)
    with pytest.raises(NotFound):
        await sharing.read(token, ada)


async def test_a_link_is_frozen_and_redacted(sharing: SharingService, layer: Direct, ada: User, thread_id: str) -> None:
    await _talk(layer, ada, thread_id)
    link, token = await sharing.draft(ada, thread_id, audience="public", days=7)
    with acting_as(ada):
        await layer.create_step(step(thread_id, "said later", createdAt="2026-03-02T10:00:00Z"))

    page = await asyncio.to_thread(SharePages(TEMPLATES).page, await sharing.read(token, ada))

    assert [m["text"] for m in link.snapshot["messages"]] == [
        "explain stacks in [path]",
        "A stack is LIFO.\n\nAll cases pass.",
    ]
    for private in ("said later", "/home/ada", "secret input", "tool output", ada.id, thread_id, "<script"):
        assert private not in page
    assert 'content="noindex' in page


async def test_a_link_expires_and_may_be_for_people_who_are_signed_in(
    sharing: SharingService, layer: Direct, ada: User, eve: User, thread_id: str, clock: Clock
) -> None:
    await _talk(layer, ada, thread_id)
    link, token = await sharing.draft(ada, thread_id, audience="signed-in", days=1)
    await sharing.publish(ada, link.id)

    assert (await sharing.read(token, eve)).id == link.id
    with pytest.raises(NotFound):
        await sharing.read(token, None)
    clock.move(days=1)
    with pytest.raises(NotFound):
        await sharing.read(token, ada)


async def test_a_reader_goes_on_with_a_copy_of_their_own(
    sharing: SharingService, layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    await _talk(layer, ada, thread_id)
    link, token = await sharing.draft(ada, thread_id, audience="public", days=7)
    with pytest.raises(NotFound):
        await sharing.copy(token, eve)
    await sharing.publish(ada, link.id)

    with acting_as(eve):
        copied = await layer.get_thread(await sharing.copy(token, eve))

    assert copied["userIdentifier"] == "eve"
    assert [s["output"] for s in copied["steps"]] == [m["text"] for m in link.snapshot["messages"]]
    assert [s["type"] for s in copied["steps"]] == ["user_message", "assistant_message"]


async def test_what_was_said_is_read_for_a_chat_that_is_not_remembered(
    history: History, layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    await _talk(layer, ada, thread_id)
    with acting_as(ada):
        await layer.create_step(step(thread_id, "and queues?", createdAt="2026-03-02T09:00:02Z"))
        mine = await history.earlier(thread_id, most=16)
        newest = await history.earlier(thread_id, most=2)
    with acting_as(eve):
        others = await history.earlier(thread_id, most=16)

    assert [(m["role"], m["content"]) for m in mine] == [
        ("user", "explain stacks in /home/ada/project/x.py"),
        ("assistant", "A stack is LIFO.\n\nAll cases pass."),
    ]
    assert [m["role"] for m in newest] == ["assistant"]
    assert others == []


def test_a_very_long_conversation_says_what_is_left_out() -> None:
    frozen = snapshot({"steps": [step("t", f"message {number}") for number in range(503)]})

    assert (len(frozen["messages"]), frozen["more"]) == (500, 3)


async def test_nobody_shares_anothers_thread(
    sharing: SharingService, layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    await _talk(layer, ada, thread_id)

    with pytest.raises(NotFound):
        await sharing.draft(eve, thread_id, audience="public", days=1)
    with pytest.raises(InvalidInput):
        await sharing.draft(ada, thread_id, audience="public", days=0)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("see /home/ada/x.py:3", "see [path]:3"), ("in src/app.py", "in src/app.py"), ("~/project/a b", "[path] b"),
        ("C:\\Users\\ada\\x.txt", "[path]"), ("mail ada@example.org", "mail [address]"),
        ("key sk-ant-api03-abcdefghijkl", "key [key]"), ("token tooloo_abcdefghijklmnop", "token [key]"),
        ("id 0123456789abcdef0123456789abcdef", "id [id]"), ("https://example.org/etc/x", "https://example.org/etc/x"),
        ("1/2 and and/or", "1/2 and and/or"), ("GET /api/v1/training/due", "GET /api/v1/training/due"),
        ("file:///home/ada/x.py", "[path]"), ("a:/home/ada/x.py", "[path]"), ("C:/Users/ada/x", "[path]"),
        ("\\\\server\\share\\x", "[path]"), ("~ada/x", "[path]"), ("/workspace/client/x.py is", "[path] is"),
        ("error:/Volumes/Client/a b", "error:[path] b"), ("in /home/ada/My Project/x.py and/or", "in [path] and/or"),
        ("'/home/ada/a b.txt' is", "'[path]' is"), ('"C:\\Users\\Ada Byron\\x y.txt"', '"[path]"'),
        ("say `/budget 5` or `/api/v1/x y`", "say `/budget 5` or `/api/v1/x y`"), ("(/proc/1/environ)", "([path])"),
    ],
)  # fmt: skip
def test_what_is_private_is_taken_out(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_html_in_messages_is_shown_as_text() -> None:
    frozen = snapshot({"steps": [step("t", "<script>alert(1)</script> ![x](http://evil/x.png)")]})
    from datetime import UTC, datetime

    from app.chat.sharing import ShareLink

    page = SharePages(TEMPLATES).page(
        ShareLink(id="1", thread_id="t", title="<b>", snapshot=frozen, audience="public", published=True,
                  expires_at=datetime(2026, 4, 1, tzinfo=UTC))
    )  # fmt: skip

    assert "<script>" not in page
    assert "<img" not in page.split("<main>")[1]
    assert "&lt;b&gt;" in page


async def test_a_card_comes_back_as_it_was_changed_and_no_other_does(
    layer: Direct, history: History, ada: User, eve: User, thread_id: str
) -> None:
    cards = [
        CustomElement(name="ChallengeCard", props={"startedId": number, "hints": []}, thread_id=thread_id)
        for number in ("one", "two")
    ]
    with acting_as(ada):
        for card in cards:
            await layer.create_element(card)

        await history.elements.change_card(thread_id, {"startedId": "two"}, {"hints": ["Look"]})
        for drafts in ({"python": "a"}, {"go": "b\0"}):
            await history.elements.change_card(
                thread_id, {"startedId": "two"}, {"drafts": drafts, "said": "a\0b\ud800"}
            )

        thread = await history.get_thread(thread_id)
    with acting_as(eve), pytest.raises(NotAllowed):
        await history.elements.change_card(thread_id, {"startedId": "one"}, {"hints": ["Mine"]})
    assert thread is not None
    shown = {element["props"]["startedId"]: element["props"]["hints"] for element in thread["elements"] or []}
    assert shown == {"one": [], "two": ["Look"]}
    [two] = [element["props"] for element in thread["elements"] or [] if element["props"]["startedId"] == "two"]
    assert (two["drafts"], two["said"]) == ({"python": "a", "go": "b\ufffd"}, "a\ufffdb?")


async def test_what_no_database_can_store_is_left_out(layer: Direct, ada: User, thread_id: str) -> None:
    hostile = step(thread_id, "a\0b\ud800c", metadata={"deep": ["\0"]})
    with acting_as(ada):
        await layer.create_step(hostile)
        await layer.update_thread(thread_id, name="x\0y\udfff")

        thread = await layer.get_thread(thread_id)

    assert thread["steps"][0]["output"] == "a\ufffdb?c"
    assert thread["steps"][0]["metadata"] == {"deep": ["\ufffd"]}
    assert thread["name"] == "x\ufffdy?"


async def test_the_page_of_a_deleted_thread_does_not_bring_it_back(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada):
        await layer.create_step(step(thread_id))
        await layer.delete_thread(thread_id)
        await layer.update_thread(thread_id, metadata={"client_type": "webapp"})

        assert await layer.get_thread(thread_id) is None


@pytest.mark.parametrize("thread_id", ["rest-1-2", "../x", ""])
async def test_a_thread_is_named_by_a_uuid(layer: Direct, ada: User, thread_id: str) -> None:
    with acting_as(ada), pytest.raises(InvalidInput):
        await layer.create_step(step(thread_id))


async def test_an_answer_whose_process_died_is_there_as_far_as_it_came(
    history: History, layer: Direct, ada: User, thread_id: str
) -> None:
    answer = step(thread_id, "half of it", type="assistant_message", metadata={})
    with acting_as(ada):
        await history.keep_growing(answer)  # type: ignore[arg-type]  # as the library sends it
        while_it_grows = (await layer.get_thread(thread_id))["steps"][0]["output"]
        history.has_grown(answer["id"])  # type: ignore[arg-type]  # as another process would know of nothing that grows
        interrupted = (await layer.get_thread(thread_id))["steps"][0]["output"]
        await layer.update_step({**answer, "output": "all of it"})
        whole = (await layer.get_thread(thread_id))["steps"][0]["output"]

    assert while_it_grows == "half of it"
    assert interrupted.startswith("half of it\n\n*Interrupted")
    assert whole == "all of it"


async def test_a_links_title_is_redacted_too(sharing: SharingService, layer: Direct, ada: User, thread_id: str) -> None:
    await _talk(layer, ada, thread_id)
    with acting_as(ada):
        await layer.update_thread(thread_id, name="load /home/ada/secret-client")

    link, _ = await sharing.draft(ada, thread_id, audience="public", days=7)

    assert link.title == "load [path]"


async def test_nobody_takes_over_or_deletes_anothers_element(
    layer: Direct, ada: User, eve: User, thread_id: str
) -> None:
    card = CustomElement(name="BudgetGauge", props={"spent": "$1"}, thread_id=thread_id)
    with acting_as(ada):
        await layer.create_step(step(thread_id))
        await layer.create_element(card)
    theirs = CustomElement(id=card.id, name="BudgetGauge", props={"spent": "$9"}, thread_id=str(uuid.uuid4()))
    with acting_as(eve):
        with pytest.raises(NotAllowed):
            await layer.create_element(theirs)
        with pytest.raises(NotAllowed):
            await layer.delete_element(card.id)

        foreign = await layer.get_element(thread_id, card.id)
        thread = await layer.get_thread(thread_id)
    with acting_as(ada):
        own = await layer.get_element(thread_id, card.id)

    assert own["props"] == {"spent": "$1"}
    assert foreign is None
    assert thread == {"id": thread_id, "userIdentifier": "ada", "steps": []}
