"""The Extensions API of one life of an environment's programs: extensions call it, the environment hears of them."""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from pasture.http.message import Request, Response
from pasture.runtime_api.api import error_response
from pasture.runtime_api.extension_signals import (
    AgentsReady,
    AllRegistered,
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionSignal,
)
from pasture.runtime_api.extensions_session import INVOKE, SHUTDOWN, Agent, AgentState, ExtensionsSession
from pasture.runtime_api.session import Refusal

PREFIX = "/2020-01-01/"
_REGISTER = f"{PREFIX}extension/register"
_NEXT = f"{PREFIX}extension/event/next"
_INIT_ERROR = f"{PREFIX}extension/init/error"
_EXIT_ERROR = f"{PREFIX}extension/exit/error"
_METHODS = {_REGISTER: "POST", _NEXT: "GET", _INIT_ERROR: "POST", _EXIT_ERROR: "POST"}

_JSON = {"Content-Type": "application/json"}
_ERROR_TYPE = "Lambda-Extension-Function-Error-Type"

Notify = Callable[[ExtensionSignal], None]


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """What an extension is told when it registers."""

    name: str
    version: str
    handler: str
    account_id: str


class _Registration(msgspec.Struct):
    events: list[str] | None = None
    configurationKeys: list[str] | None = None  # noqa: N815 (the wire's name)


class ExtensionsApi:
    def __init__(
        self,
        notify: Notify,
        function: FunctionFacts,
        identifier: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._notify = notify
        self._function = function
        self._identifier = identifier
        self._session = ExtensionsSession(identifier)
        self._polls: dict[str, asyncio.Future[Response]] = {}
        """By name, those that wait for an event."""
        self._events: dict[str, bytes] = {}
        """By name, what is released and not yet fetched."""
        self._were_ready = True

    def __repr__(self) -> str:
        return f"<ExtensionsApi {self._session!r}>"

    # What the environment may ask...

    @property
    def agents(self) -> list[Agent]:
        """Every extension, expected or registered: for `platform.extension` at the end of the init."""
        return self._session.agents

    @property
    def external(self) -> tuple[str, ...]:
        return tuple(agent.name for agent in self._session.agents if agent.external)

    @property
    def internal(self) -> tuple[str, ...]:
        return tuple(agent.name for agent in self._session.agents if not agent.external)

    @property
    def all_registered(self) -> bool:
        """Whether every external extension that is expected has registered; true when none is."""
        return self._session.all_registered

    @property
    def all_ready(self) -> bool:
        """Whether every extension waits for its next event; true when there is none."""
        return self._session.all_ready

    def subscribed(self, event: str) -> tuple[str, ...]:
        """Names of the extensions that asked for INVOKE or SHUTDOWN."""
        return tuple(agent.name for agent in self._session.agents if event in agent.events)

    def identify(self, request: Request) -> str:
        """The name of the extension that sent a request to another API. Raises Refusal when it is none."""
        return self._agent(request, "Unknown extension {}").name

    # What the environment does...

    def expect(self, names: Iterable[str]) -> None:
        """External extensions that are about to be started. Raises Refusal over the limit, or for a name twice."""
        for name in names:
            self._session.expect(name)

    def launch_failed(self, name: str, error_type: str = "UnknownError") -> None:
        """Its program could not be started: `PermissionDenied`, or `UnknownError`."""
        self._session.fails_to_launch(name, error_type)

    def close_registration(self) -> None:
        """The runtime has called `next` for the first time."""
        self._session.close_registration()

    def release_invoke(self, request_id: str, deadline_ms: int, function_arn: str, trace_id: str = "") -> None:
        """Give the invocation to those that subscribed to INVOKE, at the same time as to the runtime."""
        event: dict[str, Any] = {
            "eventType": INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": function_arn,
        }
        if trace_id:
            event["tracing"] = {"type": "X-Amzn-Trace-Id", "value": trace_id}
        self._release(INVOKE, event)

    def release_shutdown(self, reason: str, deadline_ms: int) -> tuple[str, ...]:
        """Tell those that subscribed to SHUTDOWN: `spindown`, `timeout` or `failure`. The names to wait for."""
        event = {"eventType": SHUTDOWN, "shutdownReason": reason, "deadlineMs": deadline_ms}
        return self._release(SHUTDOWN, event)

    def exited(self, name: str) -> AgentState:
        """The process of an external extension has ended. What state it was in."""
        return self._session.exits(name)

    def shutdown_failed(self, name: str) -> None:
        """The process of an external extension had to be killed at the deadline."""
        self._session.fails_to_shut_down(name)

    def _release(self, kind: str, event: dict[str, Any]) -> tuple[str, ...]:
        body = msgspec.json.encode(event)
        released = self._session.release(kind)
        for agent in released:
            self._events[agent.name] = body
            poll = self._polls.pop(agent.name, None)
            if poll is not None and not poll.done():
                poll.set_result(self._give(agent))
        self._were_ready = self._session.all_ready
        return tuple(agent.name for agent in released)

    # The extensions' side...

    def __call__(self, request: Request) -> Response | asyncio.Future[Response]:
        target = request.raw_path
        method = _METHODS.get(target)
        if method is None:
            return Response(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if request.method != method:
            return Response(405, {"Content-Type": "text/plain"}, b"405 method not allowed\n")
        try:
            if target == _NEXT:
                return self._next(request)
            if target == _REGISTER:
                return self._register(request)
            return self._failure(request)
        except Refusal as refusal:
            return error_response(refusal.status, refusal.error_type, refusal.message)

    def _register(self, request: Request) -> Response:
        name = request.headers.get("lambda-extension-name", "")
        if not name:
            raise Refusal(403, "Extension.InvalidExtensionName", "Empty extension name")
        events = _events(request.body)
        had_all = self._session.all_registered
        agent = self._session.registers(name, events)
        self._were_ready = False
        if not had_all and self._session.all_registered:
            self._notify(AllRegistered())
        function = self._function
        told = {"functionVersion": function.version, "functionName": function.name, "handler": function.handler}
        if "accountId" in _features(request) and function.account_id:
            told["accountId"] = function.account_id
        return Response(200, {**_JSON, "Lambda-Extension-Identifier": agent.identifier}, msgspec.json.encode(told))

    def _next(self, request: Request) -> Response | asyncio.Future[Response]:
        agent = self._agent(request, "Unknown extension {}")
        if not self._asks_again(agent):
            self._session.polls(agent)
        if agent.owed:
            return self._give(agent)
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._polls[agent.name] = waiting
        request.on_disconnect.append(waiting.cancel)
        if self._session.all_ready and not self._were_ready:
            self._were_ready = True
            self._notify(AgentsReady())
        return waiting

    def _asks_again(self, agent: Agent) -> bool:
        """Whether its last poll has lost its connection: it is ready still, and the new poll takes the old one's place.

        A second poll beside one that waits is refused, as RAPID does.
        """
        poll = self._polls.get(agent.name)
        return agent.state is AgentState.READY and (poll is None or poll.cancelled())

    def _give(self, agent: Agent) -> Response:
        self._session.is_given(agent)
        headers = {**_JSON, "Lambda-Extension-Event-Identifier": self._identifier()}
        return Response(200, headers, self._events.pop(agent.name))

    def _failure(self, request: Request) -> Response:
        agent = self._agent(request)
        error_type = request.headers.get(_ERROR_TYPE, "")
        if not error_type:
            raise Refusal(403, "Extension.MissingHeader", f"{_ERROR_TYPE} not found")
        if request.raw_path == _INIT_ERROR:
            if self._session.fails_to_initialise(agent, error_type):
                self._notify(ExtensionInitFailed(agent.name, error_type, request.body))
        elif self._session.fails_and_exits(agent, error_type):
            self._notify(ExtensionExitFailed(agent.name, error_type, request.body))
        return Response(202, _JSON, b'{"status":"OK"}\n')

    def _agent(self, request: Request, unknown: str = "Unknown Lambda-Extension-Identifier") -> Agent:
        return self._session.identifies(request.headers.get("lambda-extension-identifier"), unknown)


def _events(body: bytes) -> list[str]:
    try:
        registration = msgspec.json.decode(body, type=_Registration)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "InvalidRequestFormat", str(error)) from None
    if registration.configurationKeys:
        message = "configurationKeys are deprecated; use environment variables instead"
        raise Refusal(400, "InvalidRequestFormat", message)
    return registration.events or []


def _features(request: Request) -> set[str]:
    return {feature.strip() for feature in request.headers.get("lambda-extension-accept-feature", "").split(",")}
