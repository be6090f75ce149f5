"""The conversation surface: what happens when a chat starts, a message comes, a card is used, a chat is resumed."""

import asyncio
import re
import uuid
from datetime import datetime
from typing import Any

import chainlit as cl
import structlog
from chainlit.chat_context import chat_context
from chainlit.step import StepDict
from chainlit.types import CommandDict, ThreadDict
from chainlit.user import PersistedUser

from app.bootstrap import Services
from app.chat import snapshots
from app.chat.attachments import with_files
from app.chat.following import Following
from app.chat.history import History
from app.chat.ownership import check_thread_id
from app.chat.render import Answer
from app.chat.sharing import DEFAULT_DAYS, SharingService
from app.chat.stopping import stop_unless_back, stopped_by, stopped_once
from app.errors import InvalidInput, NotAllowed, Stopped, TooLooError
from app.identity.accounts import User
from app.learning import views
from app.models.wording import dollars
from graph import commands
from graph.conversation import Turn, check_message
from graph.overview import behind_mastery, earned_view
from graph.state import KEPT_MESSAGES

logger = structlog.get_logger()

STARTERS = (
    ("An easy challenge", "give me an easy python challenge about strings", "swords"),
    ("Train SQL", "train me on SQL for 5 questions", "graduation-cap"),
    ("How am I doing?", "how am I doing", "chart"),
    ("What have I spent?", "what have I spent", "wallet"),
)

SHOWN_CHANGES = 12
SHOWN_OUTPUT = 4000
BROKEN = "Something went wrong on our side."
Json = dict[str, Any]  # Any: JSON


class Chat:
    """The callbacks, over the services. ``install`` hands them to the chat library."""

    def __init__(self, services: Services, history: History, sharing: SharingService, base_url: str) -> None:
        self._services = services
        self._history = history
        self._sharing = sharing
        self._base_url = base_url
        self._following = Following(history)

    def install(self) -> None:
        cl.data_layer(lambda: self._history)
        cl.set_starters(self.starters)
        cl.on_chat_start(self.start)
        cl.on_chat_resume(self.resume)
        cl.on_chat_end(self.dropped)
        cl.on_message(self.message)
        for name, callback in (
            ("say", self.say),
            ("challenge_run", self.card_run),
            ("challenge_try", self.card_try),
            ("challenge_stop", self.card_stop),
            ("challenge_submit", self.card_submit),
            ("challenge_hint", self.card_hint),
            ("challenge_skip", self.card_skip),
            ("challenge_reveal", self.card_reveal),
            ("challenge_coach", self.card_coach),
            ("mastery_behind", self.mastery_behind),
            ("keys_list", self.keys_list),
            ("keys_set", self.keys_set),
            ("keys_remove", self.keys_remove),
            ("share_publish", self.share_publish),
            ("share_revoke", self.share_revoke),
        ):
            cl.action_callback(name)(callback)

    # -- chat --------------------------------------------------------------------------------------------------

    async def starters(self, _user: cl.User | None = None, _language: str | None = None) -> list[cl.Starter]:
        return [cl.Starter(label=name, message=said, icon=f"/public/icons/{icon}.svg") for name, said, icon in STARTERS]

    async def start(self) -> None:
        await self._send_commands()

    async def resume(self, _thread: ThreadDict) -> None:
        await self._send_commands()
        await self._following.resume()

    async def dropped(self) -> None:
        stop_unless_back(cl.context.session)

    async def message(self, message: cl.Message) -> None:
        files = [element for element in message.elements if element.path]
        is_unnamed = (not message.content.strip() or message.command == "keys") and len(chat_context.get()) == 1
        answering = self._answer(message.content, picked=message.command, attached=files, said=message.to_dict())
        await stopped_once(answering)
        if is_unnamed and message.command:
            await self._name_thread(f"/{message.command}")

    async def _name_thread(self, name: str) -> None:
        """A chat that begins with a command from the menu has no words to be named by, and would not be listed."""
        thread_id = cl.context.session.thread_id
        await self._history.update_thread(thread_id, name=name)
        await cl.context.emitter.emit("first_interaction", {"interaction": name, "thread_id": thread_id})

    async def say(self, action: cl.Action) -> None:
        """A button: its words are said as if typed."""
        text = str(action.payload.get("text", ""))[:1000]
        await cl.Message(content=text, author=_user().name, type="user_message").send()
        task = asyncio.current_task()
        cl.context.session.current_task = task
        await cl.context.emitter.task_start()
        try:
            await stopped_once(self._answer(text))
        finally:
            await cl.context.emitter.task_end()

    async def _answer(
        self, text: str, *, picked: str | None = None, attached: Any = (), said: StepDict | None = None
    ) -> None:  # Any: elements
        """One turn. Whatever goes wrong, the learner reads a sentence, and the log has the rest."""
        session = cl.context.session
        session.thread_id_to_resume = session.thread_id  # a page that was cut off is given the whole thread again
        answer, began = Answer(self._history), self._services.deps.clock()
        await answer.begin()
        with self._following.running(session.thread_id, answer):
            try:
                await self._respond(answer, text, picked=picked, attached=attached, said=said)
            except TooLooError as error:
                logger.info("chat.refused", kind=type(error).__name__)
                await answer.fail(error.user_message)
            except asyncio.CancelledError:
                await asyncio.shield(self._say_stopped(answer, began))
                raise
            except Exception:  # the outermost edge: nothing may vanish
                reference = uuid.uuid4().hex[:8]
                logger.exception("chat.failed", reference=reference)
                await answer.fail(f"{BROKEN} Nothing of yours is lost (reference {reference}).")
            finally:
                await asyncio.shield(answer.end())

    async def _respond(
        self, answer: Answer, text: str, *, picked: str | None, attached: Any, said: StepDict | None
    ) -> None:  # Any: elements
        if said is not None:
            await self._history.keep(said)
        if not picked:
            check_message(text)
        text = await with_files(text, attached)
        command = commands.parse(text, self._services.deps.curriculum, picked=picked)
        if command is not None and command.intent == "chat.share":
            await self._share(answer, command.parameters)
        elif command is not None and command.intent == "chat.keys":
            await self._keys(answer, command.parameters)
        elif command is not None and command.intent == "chat.export":
            await self._export(answer, command.parameters["format"])
        else:
            await answer.show(self._services.conversation.stream(self._turn(text, command)))

    def _turn(self, text: str, command: commands.Parsed | None) -> Turn:
        user, thread_id = _user(), cl.context.session.thread_id
        check_thread_id(thread_id)
        return Turn(
            user_id=user.id, is_admin=user.is_admin, thread_id=thread_id, text=command.text if command else text,
            intent=command.intent if command else None, parameters=command.parameters if command else {},
            earlier=lambda: self._history.earlier(thread_id, most=KEPT_MESSAGES),
        )  # fmt: skip

    async def _say_stopped(self, answer: Answer, began: datetime) -> None:
        purse, thread_id = self._services.deps.purse, cl.context.session.thread_id
        spent = await purse.spent_by(_user().id, since=began, thread_id=thread_id)
        whole = await purse.spent_by(_user().id, thread_id=thread_id)
        cost = f" It cost {dollars(spent)}; {dollars(whole)} in this chat." if spent else ""
        await answer.stop(f"*Stopped.{cost}*")

    async def _send_commands(self) -> None:
        listed = [
            CommandDict(
                id=c.name, description=c.description, icon=c.icon, button=False, persistent=False, selected=False
            )
            for c in commands.COMMANDS
        ]
        await cl.context.emitter.set_commands(listed)

    # -- cards -------------------------------------------------------------------------------------------------

    async def card_run(self, action: cl.Action) -> Json:
        return await _card(self._run(action.payload))

    async def card_try(self, action: cl.Action) -> Json:
        return await _card(self._try(action.payload))

    async def card_stop(self, action: cl.Action) -> Json:
        self._services.deps.challenges.stop(_user().id, str(action.payload.get("startedId", "")))
        return {}

    async def card_submit(self, action: cl.Action) -> Json:
        return await _card(self._submit(action.payload))

    async def card_hint(self, action: cl.Action) -> Json:
        return await _card(self._hint(action.payload))

    async def card_skip(self, action: cl.Action) -> Json:
        return await _card(self._skip(action.payload))

    async def card_reveal(self, action: cl.Action) -> Json:
        return await _card(self._reveal(action.payload))

    async def card_coach(self, action: cl.Action) -> Json:
        return await _card(self._coach(action.payload))

    async def _run(self, payload: Json) -> Json:
        started_id, code, language = _solution(payload)
        graded = await self._services.deps.challenges.run_examples(_user().id, started_id, code, language=language)
        shown = {"result": views.graded_view(graded), "ran": True}
        return await self._keep(started_id, shown, drafts={language: code}, language=language)

    async def _try(self, payload: Json) -> Json:
        """Run the code on the learner's own input, and show what came out as it is."""
        started_id, code, language = _solution(payload)
        given, challenges = payload.get("input"), self._services.deps.challenges
        if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
            raise InvalidInput("The input does not fit. Reload the page and try again.")
        one = await challenges.get(_user().id, started_id)
        run = await challenges.run_on(_user().id, one.challenge, code, given, language=language, started_id=started_id)
        tried = {**run.to_json(), "stdout": _cut(run.stdout), "stderr": _cut(run.stderr)}
        return await self._keep(started_id, {"tried": tried}, own=given, drafts={language: code}, language=language)

    async def _submit(self, payload: Json) -> Json:
        started_id, code, language = _solution(payload)
        deps = self._services.deps
        since = deps.clock()
        submission = await deps.challenges.submit(_user().id, started_id, code, language=language)
        badges = await deps.badges.fresh(_user().id, since=since) if submission.started.status != "open" else []
        shown = {
            "result": views.submission_view(submission, deps.curriculum), "ran": False,
            "status": submission.started.status, "badges": [earned_view(one) for one in badges],
        }  # fmt: skip
        return await self._keep(started_id, shown, drafts={language: code}, language=language)

    async def _hint(self, payload: Json) -> Json:
        started = await self._services.deps.challenges.hint(_user().id, str(payload.get("startedId", "")))
        return await self._keep(started.id, {"hints": list(started.hints)})

    async def _skip(self, payload: Json) -> Json:
        started = await self._services.deps.challenges.skip(_user().id, str(payload.get("startedId", "")))
        return await self._keep(started.id, {"status": started.status})

    async def _reveal(self, payload: Json) -> Json:
        deps = self._services.deps
        revealed = await deps.challenges.reveal(_user().id, str(payload.get("startedId", "")))
        shown = {"revealed": views.revealed_view(revealed, deps.curriculum), "status": revealed.started.status}
        return await self._keep(revealed.started.id, shown)

    async def _coach(self, payload: Json) -> Json:
        started_id, deps = str(payload.get("startedId", "")), self._services.deps
        began = deps.clock()
        user, session = _user().id, cl.context.session
        try:
            with stopped_by(session, lambda: deps.challenges.stop(user, started_id)):
                coached = await deps.coach.ask(user, started_id)
        except Stopped as stopped:
            spent = await deps.purse.spent_by(_user().id, since=began, thread_id=cl.context.session.thread_id)
            raise Stopped(f"Stopped. It cost {dollars(spent)}." if spent else "Stopped.") from stopped
        cost = dollars(coached.cost_microusd) if coached.model or coached.cost_microusd else ""
        return await self._keep(started_id, {"coached": {**views.coached_view(coached), "cost": cost}})

    async def _keep(self, started_id: str, shown: Json, **rest: Any) -> Json:  # Any: JSON
        """Store what a challenge's card shows from now on, for whoever opens the thread again."""
        thread_id = cl.context.session.thread_id
        await self._history.elements.change_card(thread_id, {"startedId": started_id}, {**shown, **rest})
        return shown

    async def mastery_behind(self, action: cl.Action) -> Json:
        return await _card(self._mastery_behind(action.payload))

    async def _mastery_behind(self, payload: Json) -> Json:
        concept, before = str(payload.get("concept", "")), payload.get("before")
        return await behind_mastery(
            self._services.deps, _user().id, concept, before=str(before) if before else None, limit=SHOWN_CHANGES
        )

    # -- keys --------------------------------------------------------------------------------------------------

    async def _keys(self, answer: Answer, told: Json) -> None:
        _require_admin()
        await answer.card("KeysCard", {"keys": await self._key_rows(), **told}, "Keys of model providers are set here.")

    async def keys_list(self, _action: cl.Action) -> Json:
        return await _card(self._list_keys())

    async def keys_set(self, action: cl.Action) -> Json:
        return await _card(self._set_key(action.payload))

    async def keys_remove(self, action: cl.Action) -> Json:
        return await _card(self._remove_key(action.payload))

    async def _list_keys(self) -> Json:
        _require_admin()
        return {"keys": await self._key_rows()}

    async def _set_key(self, payload: Json) -> Json:
        user = _require_admin()
        provider, key = str(payload.get("provider", "")), str(payload.get("key", ""))
        models = await self._services.keys.set(provider, key, actor=user.id)
        return {"models": models, "keys": await self._key_rows()}

    async def _remove_key(self, payload: Json) -> Json:
        await self._services.keys.remove(str(payload.get("provider", "")), actor=_require_admin().id)
        return {"keys": await self._key_rows()}

    async def _key_rows(self) -> list[Json]:
        return [
            {"provider": s.provider, "source": s.source, "ending": s.ending, "problem": s.problem}
            for s in await self._services.keys.status()
        ]

    # -- sharing and export ------------------------------------------------------------------------------------

    async def _share(self, answer: Answer, parameters: Json) -> None:
        words = str(parameters.get("arguments", "")).lower().split()
        days = next((int(word) for word in words if re.fullmatch(r"[0-9]{1,6}", word)), DEFAULT_DAYS)
        audience = "signed-in" if "team" in words or "signed-in" in words else "public"
        link, token = await self._sharing.draft(
            _user(), cl.context.session.thread_id, audience="signed-in" if audience == "signed-in" else "public",
            days=days,
        )  # fmt: skip
        props = {
            "linkId": link.id, "url": f"{self._base_url}/s/{token}", "audience": link.audience,
            "expires": link.expires_at.date().isoformat(), "messages": len(link.snapshot["messages"]),
            "state": "draft",
        }  # fmt: skip
        await answer.card("ShareCard", props, "A share link was prepared.")

    async def share_publish(self, action: cl.Action) -> Json:
        return await _card(self._publish(str(action.payload.get("linkId", ""))))

    async def share_revoke(self, action: cl.Action) -> Json:
        return await _card(self._revoke(str(action.payload.get("linkId", ""))))

    async def _publish(self, link_id: str) -> Json:
        await self._sharing.publish(_user(), link_id)
        return {"state": "published"}

    async def _revoke(self, link_id: str) -> Json:
        await self._sharing.revoke(_user(), link_id)
        return {"state": "revoked"}

    async def _export(self, answer: Answer, wanted: str) -> None:
        if wanted not in ("markdown", "json"):
            raise InvalidInput(f"{wanted!r} is no format. Say /export markdown or /export json.")
        thread = await self._history.get_thread(cl.context.session.thread_id)
        messages = snapshots.said_by(thread) if thread else []
        title = (thread["name"] if thread else None) or "Conversation"
        await answer.file(title, messages, wanted)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_OUTPUT else text[:SHOWN_OUTPUT] + " …"


def _user() -> User:
    user = cl.context.session.user
    assert isinstance(user, PersistedUser)
    role = user.metadata.get("role")
    return User(id=user.id, name=user.identifier, role="admin" if role == "admin" else "user")


def _require_admin() -> User:
    user = _user()
    if not user.is_admin:
        raise NotAllowed("Only an administrator sets the keys of providers.")
    return user


async def _card(work: Any) -> Json:  # Any: a coroutine of JSON
    """What a card's button gives back to it: its result, or an error as a sentence."""
    try:
        result: Json = await work
        return result
    except TooLooError as error:
        return {"error": error.user_message}
    except Exception:  # the outermost edge: nothing may vanish
        reference = uuid.uuid4().hex[:8]
        logger.exception("chat.card_failed", reference=reference)
        return {"error": f"{BROKEN} (Reference {reference}.)"}


def _solution(payload: Json) -> tuple[str, str, str]:
    return str(payload.get("startedId", "")), str(payload.get("code", "")), str(payload.get("language", "python"))
