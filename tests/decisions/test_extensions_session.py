"""What a call of an extension means, move by move."""

import itertools
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.runtime_api.extensions_session import (
    INVOKE,
    MAX_AGENTS,
    SHUTDOWN,
    Agent,
    AgentState,
    ExtensionsSession,
)
from pasture.runtime_api.session import Refusal

BOTH = (INVOKE, SHUTDOWN)


def identifiers() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: str(uuid.UUID(int=next(numbers)))


def session(*external: str) -> ExtensionsSession:
    made = ExtensionsSession(identifiers())
    for name in external:
        made.expect(name)
    return made


def refusal(act: Callable[[], object]) -> tuple[int, str, str]:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value.status, caught.value.error_type, caught.value.message


def test_all_have_registered_once_the_last_expected_one_has() -> None:
    s = session("a", "b")
    seen = [s.all_registered]
    s.registers("a", BOTH)
    seen.append(s.all_registered)
    s.registers("b", ())
    assert [*seen, s.all_registered] == [False, False, True]


def test_with_no_extension_all_are_registered_and_ready() -> None:
    assert (session().all_registered, session().all_ready) == (True, True)


def test_a_name_that_is_not_expected_is_an_internal_one() -> None:
    agent = session("a").registers("b", [INVOKE])
    assert (agent.external, agent.state, agent.events) == (False, AgentState.REGISTERED, (INVOKE,))


def test_events_are_kept_once_and_in_order() -> None:
    assert session("a").registers("a", [SHUTDOWN, INVOKE, SHUTDOWN]).events == BOTH


def test_an_event_that_does_not_exist_is_refused() -> None:
    said = refusal(lambda: session("a").registers("a", ["invoke"]))
    assert said == (403, "Extension.InvalidEventType", "invoke: ErrorInvalidEventType")


def test_an_internal_extension_may_not_ask_for_shutdown() -> None:
    said = refusal(lambda: session().registers("a", [SHUTDOWN]))
    message = "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"
    assert said == (403, "Extension.InvalidEventType", message)


def test_an_internal_extension_may_not_register_after_the_runtime_has_polled() -> None:
    s = session()
    s.close_registration()
    said = refusal(lambda: s.registers("a", [INVOKE]))
    assert said == (403, "Extension.RegistrationClosed", "Extension registration closed already")


def test_a_second_internal_extension_of_a_name_is_refused() -> None:
    s = session()
    s.registers("a", [INVOKE])
    said = refusal(lambda: s.registers("a", [INVOKE]))
    assert said == (403, "Extension.InvalidExtensionState", "Extension with this name already registered")


def test_an_external_extension_registers_once() -> None:
    s = session("a")
    s.registers("a", BOTH)
    message = (
        "State transition from Registered to Registered failed for extension a. Error: State transition is not allowed"
    )
    assert refusal(lambda: s.registers("a", BOTH)) == (403, "Extension.InvalidExtensionState", message)


def test_there_are_ten_extensions_at_most_external_and_internal_together() -> None:
    s = session(*(f"e{n}" for n in range(6)))
    for n in range(4):
        s.registers(f"i{n}", ())
    said = refusal(lambda: s.registers("i9", ()))
    assert (said, refusal(lambda: s.expect("e9"))) == (
        ((403, "Extension.TooManyExtensions", "Extension limit (10) reached"),) * 2
    )
    assert len(s.agents) == MAX_AGENTS


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        (None, (403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")),
        ("", (403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")),
        ("me", (403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")),
        (
            str(uuid.UUID(int=9)),
            (403, "Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier"),
        ),
    ],
)
def test_who_does_not_say_who_it_is_is_refused(identifier: str | None, said: tuple[int, str, str]) -> None:
    assert refusal(lambda: session("a").identifies(identifier)) == said


def test_an_expected_extension_is_found_by_its_identifier() -> None:
    s = session("a", "b")
    assert s.identifies(str(uuid.UUID(int=2))).name == "b"


def ready(s: ExtensionsSession, name: str, events: tuple[str, ...] = BOTH) -> Agent:
    agent = s.registers(name, events)
    s.polls(agent)
    return agent


def test_all_are_ready_once_each_has_asked_for_an_event() -> None:
    s = session("a", "b")
    ready(s, "a")
    b = s.registers("b", ())
    before = s.all_ready
    s.polls(b)
    assert (before, s.all_ready) == (False, True)


def test_an_invocation_is_only_for_those_that_asked_for_it() -> None:
    s = session("a", "b", "c")
    a = ready(s, "a")
    ready(s, "b", (SHUTDOWN,))
    ready(s, "c", ())
    assert (s.release(INVOKE), s.all_ready) == ([a], False)


def test_an_extension_is_ready_again_when_it_asks_for_the_next_event() -> None:
    s = session("a")
    a = ready(s, "a")
    s.release(INVOKE)
    s.is_given(a)
    before = a.state
    s.polls(a)
    assert (before, a.state, s.all_ready) == (AgentState.RUNNING, AgentState.READY, True)


def test_a_second_poll_while_it_waits_is_refused() -> None:
    s = session("a")
    a = ready(s, "a")
    message = (
        f"State transition from Ready to Ready failed for extension {a.identifier}. "
        "Error: State transition is not allowed"
    )
    assert refusal(lambda: s.polls(a)) == (403, "Extension.InvalidExtensionState", message)


def test_a_poll_before_it_has_registered_is_refused() -> None:
    s = session("a")
    assert refusal(lambda: s.polls(s.agents[0]))[2].startswith("State transition from Started to Ready failed")


def test_an_init_error_counts_once_however_often_it_is_posted() -> None:
    s = session("a")
    a = s.registers("a", BOTH)
    posted = [s.fails_to_initialise(a, "Extension.One"), s.fails_to_initialise(a, "Extension.Two")]
    assert (posted, a.state, a.error_type) == ([True, False], AgentState.INIT_ERROR, "Extension.One")


def test_an_init_error_after_the_init_is_refused() -> None:
    s = session("a")
    a = ready(s, "a")
    assert refusal(lambda: s.fails_to_initialise(a, "Extension.E"))[2].startswith(
        "State transition from Ready to InitError failed"
    )


def test_a_refused_exit_error_names_the_state_exited_as_rapid_does() -> None:
    s = session("a")
    a = s.agents[0]
    assert refusal(lambda: s.fails_and_exits(a, "Extension.E"))[2].startswith(
        "State transition from Started to Exited failed"
    )


def test_whoever_has_failed_or_gone_takes_no_more_events() -> None:
    s = session("a", "b", "c", "d")
    for name in ("a", "b", "c", "d"):
        ready(s, name)
    s.fails_and_exits(s.agents[0], "Extension.E")
    before = s.exits("b")
    s.fails_to_shut_down("c")
    released = [agent.name for agent in s.release(SHUTDOWN)]
    assert (before, released, [agent.state for agent in s.agents]) == (
        AgentState.READY,
        ["d"],
        [AgentState.EXIT_ERROR, AgentState.EXITED, AgentState.SHUTDOWN_FAILED, AgentState.READY],
    )


def test_the_end_of_its_process_does_not_hide_the_error_it_posted() -> None:
    s = session("a")
    s.fails_and_exits(ready(s, "a"), "Extension.E")
    assert (s.exits("a"), s.agents[0].state) == (AgentState.EXIT_ERROR, AgentState.EXIT_ERROR)


def test_a_program_that_could_not_be_started_does_not_register() -> None:
    s = session("a")
    s.fails_to_launch("a", "PermissionDenied")
    assert (s.all_registered, s.agents[0].state, refusal(lambda: s.registers("a", ()))[1]) == (
        False,
        AgentState.LAUNCH_ERROR,
        "Extension.InvalidExtensionState",
    )


MOVES: dict[str, Callable[[ExtensionsSession, Agent], object]] = {
    "registers": lambda s, a: s.registers(a.name, BOTH),
    "polls": lambda s, a: s.polls(a),
    "is given": lambda s, a: s.is_given(a),
    "fails to initialise": lambda s, a: s.fails_to_initialise(a, "Extension.E"),
    "fails and exits": lambda s, a: s.fails_and_exits(a, "Extension.E"),
    "fails to launch": lambda s, a: s.fails_to_launch(a.name, "UnknownError"),
    "exits": lambda s, a: s.exits(a.name),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 1)), max_size=30))
def test_whatever_extensions_do_a_refused_move_changes_nothing_and_the_ended_stay_ended(
    moves: list[tuple[str, int]],
) -> None:
    s = session("a", "b")
    for name, which in moves:
        agent = s.agents[which]
        before, had_ended = (repr(s), agent.error_type), agent.has_ended
        try:
            MOVES[name](s, agent)
        except Refusal:
            assert (repr(s), agent.error_type) == before
        assert agent.has_ended or not had_ended
        assert s.all_ready == all(a.state is AgentState.READY for a in s.agents)
