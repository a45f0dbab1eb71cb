"""What a call of an extension means now. Pure.

An *agent* is an extension as AWS's own RAPID knows it (runtime interface emulator, `core/externalagent`
and `core/internalagent`). External ones are programs that the platform started and that must register
by their file's name; any other name that registers is an internal one, within the runtime's process.

    Started ──register──► Registered ──next──► Ready ──(given an event)──► Running ──next──► Ready
       │                     │    │             │                            │
       └─► LaunchError       │    └─exit/error──┴────────────────────────────┴──► ExitError
                             └──init/error──► InitError

A move that is not in the table is refused with an error that names both states, and nothing changes.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from pasture.runtime_api.session import Refusal

MAX_AGENTS = 10
INVOKE = "INVOKE"
SHUTDOWN = "SHUTDOWN"


class AgentState(StrEnum):
    """RAPID's names: they are part of its error messages, and `platform.extension` shows them."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"
    SHUTDOWN_FAILED = "ShutdownFailed"
    LAUNCH_ERROR = "LaunchError"


_MOVES: dict[AgentState, frozenset[AgentState]] = {
    AgentState.STARTED: frozenset({AgentState.REGISTERED, AgentState.LAUNCH_ERROR, AgentState.EXITED}),
    AgentState.REGISTERED: frozenset(
        {AgentState.READY, AgentState.INIT_ERROR, AgentState.EXIT_ERROR, AgentState.EXITED}
    ),
    AgentState.READY: frozenset({AgentState.RUNNING, AgentState.EXIT_ERROR, AgentState.EXITED}),
    AgentState.RUNNING: frozenset(
        {AgentState.READY, AgentState.EXIT_ERROR, AgentState.EXITED, AgentState.SHUTDOWN_FAILED}
    ),
    # Several posts of an error are allowed, and only the first is accepted.
    AgentState.INIT_ERROR: frozenset({AgentState.INIT_ERROR}),
    AgentState.EXIT_ERROR: frozenset({AgentState.EXIT_ERROR}),
    AgentState.EXITED: frozenset(),
    AgentState.SHUTDOWN_FAILED: frozenset(),
    AgentState.LAUNCH_ERROR: frozenset(),
}


@dataclass(slots=True)
class Agent:
    name: str
    identifier: str
    external: bool
    state: AgentState = AgentState.STARTED
    events: tuple[str, ...] = ()
    error_type: str = ""
    owed: bool = False
    """An event was released that it has yet to fetch."""

    def __repr__(self) -> str:
        return f"<Agent {self.name} {self.state}>"

    @property
    def has_registered(self) -> bool:
        return self.state not in {AgentState.STARTED, AgentState.LAUNCH_ERROR}

    @property
    def has_ended(self) -> bool:
        """It takes no more events."""
        return not _MOVES[self.state] or self.state in {AgentState.INIT_ERROR, AgentState.EXIT_ERROR}


class ExtensionsSession:
    """The extensions of one life of an environment's programs."""

    def __init__(self, identifier: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self._identifier = identifier
        self._open = True
        self._by_name: dict[str, Agent] = {}
        self._by_identifier: dict[str, Agent] = {}

    def __repr__(self) -> str:
        return f"<ExtensionsSession {', '.join(f'{a.name} {a.state}' for a in self.agents) or 'none'}>"

    @property
    def agents(self) -> list[Agent]:
        return list(self._by_name.values())

    @property
    def all_registered(self) -> bool:
        return all(agent.has_registered for agent in self._by_name.values() if agent.external)

    @property
    def all_ready(self) -> bool:
        """Whether every agent waits for its next event: one that is owed an event does not."""
        return all(agent.state is AgentState.READY and not agent.owed for agent in self._by_name.values())

    # The platform's side...

    def expect(self, name: str) -> None:
        """An external extension that is about to be started, and must register."""
        self._check_place()
        if name in self._by_name:
            raise _invalid_state("Extension with this name already registered")
        self._add(Agent(name, self._identifier(), external=True))

    def close_registration(self) -> None:
        """The runtime has asked for its first event: no further internal extension is taken."""
        self._open = False

    def fails_to_launch(self, name: str, error_type: str) -> None:
        agent = self._by_name[name]
        self._move(agent, AgentState.LAUNCH_ERROR)
        agent.error_type = error_type

    def release(self, event: str) -> list[Agent]:
        """Those that an event is for: each is owed it from now on, until `is_given`."""
        released = [agent for agent in self._by_name.values() if event in agent.events and not agent.has_ended]
        for agent in released:
            agent.owed = True
        return released

    def is_given(self, agent: Agent) -> None:
        """It waits, and gets what it is owed."""
        self._move(agent, AgentState.RUNNING)
        agent.owed = False

    def exits(self, name: str) -> AgentState:
        """Its process has ended, whatever it was at: the state that it had. The error it posted before stays."""
        agent = self._by_name[name]
        before = agent.state
        if not agent.has_ended:
            agent.state = AgentState.EXITED
        return before

    def fails_to_shut_down(self, name: str) -> None:
        """It had to be killed at the deadline of its shutdown."""
        agent = self._by_name[name]
        if not agent.has_ended:
            agent.state = AgentState.SHUTDOWN_FAILED

    # The extensions' side...

    def registers(self, name: str, events: Iterable[str]) -> Agent:
        agent = self._by_name.get(name)
        external = agent is not None and agent.external
        for event in events:
            _check_event(event, external=external)
        if agent is None or not agent.external:
            if not self._open:
                raise Refusal(403, "Extension.RegistrationClosed", "Extension registration closed already")
            self._check_place()
            if agent is not None:
                raise _invalid_state("Extension with this name already registered")
            agent = Agent(name, self._identifier(), external=False)
        self._move(agent, AgentState.REGISTERED, agent.name)
        agent.events = tuple(sorted(set(events)))
        self._add(agent)
        return agent

    def identifies(self, identifier: str | None, unknown: str = "Unknown Lambda-Extension-Identifier") -> Agent:
        """The agent with this identifier. `unknown` is the message when there is none; `{}` the identifier."""
        if not identifier:
            message = "Missing Lambda-Extension-Identifier header"
            raise Refusal(403, "Extension.MissingExtensionIdentifier", message)
        try:
            known = str(uuid.UUID(identifier))
        except ValueError:
            message = "Invalid Lambda-Extension-Identifier"
            raise Refusal(403, "Extension.InvalidExtensionIdentifier", message) from None
        agent = self._by_identifier.get(known)
        if agent is None:
            raise Refusal(403, "Extension.UnknownExtensionIdentifier", unknown.format(known))
        return agent

    def polls(self, agent: Agent) -> None:
        """It asks for an event: it is ready for one."""
        self._move(agent, AgentState.READY)

    def fails_to_initialise(self, agent: Agent, error_type: str) -> bool:
        """Whether this is the first that is heard of it."""
        return self._fails(agent, AgentState.INIT_ERROR, AgentState.INIT_ERROR, error_type)

    def fails_and_exits(self, agent: Agent, error_type: str) -> bool:
        # RAPID's refusal names the state Exited here.
        return self._fails(agent, AgentState.EXIT_ERROR, AgentState.EXITED, error_type)

    # Details...

    def _fails(self, agent: Agent, to: AgentState, named: AgentState, error_type: str) -> bool:
        first = agent.state is not to
        self._move(agent, to, named=named)
        if first:
            agent.error_type = error_type
        return first

    def _add(self, agent: Agent) -> None:
        self._by_name[agent.name] = self._by_identifier[agent.identifier] = agent

    def _check_place(self) -> None:
        if len(self._by_name) >= MAX_AGENTS:
            raise Refusal(403, "Extension.TooManyExtensions", f"Extension limit ({MAX_AGENTS}) reached")

    def _move(self, agent: Agent, to: AgentState, who: str = "", *, named: AgentState | None = None) -> None:
        if to not in _MOVES[agent.state]:
            raise _invalid_state(
                f"State transition from {agent.state} to {named or to} failed for extension "
                f"{who or agent.identifier}. Error: State transition is not allowed"
            )
        agent.state = to


def _check_event(event: str, *, external: bool) -> None:
    if event not in {INVOKE, SHUTDOWN}:
        raise Refusal(403, "Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
    if event == SHUTDOWN and not external:
        message = f"{event}: ShutdownEventNotSupportedForInternalExtension"
        raise Refusal(403, "Extension.InvalidEventType", message)


def _invalid_state(message: str) -> Refusal:
    return Refusal(403, "Extension.InvalidExtensionState", message)
