"""What a call from inside the sandbox means, move by move."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.runtime_api.session import Poll, Refusal, RuntimeState, Session


def ready() -> Session:
    session = Session()
    session.polls()
    return session


def running() -> Session:
    session = ready()
    session.is_given("r1", "a1")
    return session


def responded() -> Session:
    session = running()
    session.responds("r1", "a1")
    return session


def failed() -> Session:
    session = running()
    session.fails("r1", "a1")
    return session


def init_failed() -> Session:
    session = Session()
    session.fails_to_initialise()
    return session


def test_the_first_poll_ends_the_init() -> None:
    assert Session().polls() is Poll.INITIALISED


@pytest.mark.parametrize("session", [responded(), failed()], ids=repr)
def test_a_poll_after_an_answer_ends_the_invocation(session: Session) -> None:
    assert (session.polls(), session.state) == (Poll.DONE, RuntimeState.READY)


@pytest.mark.parametrize("session", [ready(), running()], ids=repr)
def test_polling_again_while_waiting_or_running_is_tolerated_and_changes_nothing(session: Session) -> None:
    before = session.state
    assert (session.polls(), session.state) == (Poll.AGAIN, before)


Move = Callable[[Session], object]
REFUSED: list[tuple[Session, Move, str, str]] = [
    (init_failed(), lambda s: s.polls(), "InitError", "Ready"),
    (init_failed(), lambda s: s.fails_to_initialise(), "InitError", "InitError"),
    (ready(), lambda s: s.fails_to_initialise(), "Ready", "InitError"),
    (running(), lambda s: s.fails_to_initialise(), "Running", "InitError"),
    (Session(), lambda s: s.is_given("r1", "a1"), "Started", "Running"),
    (running(), lambda s: s.is_given("r2", "a2"), "Running", "Running"),
    (responded(), lambda s: s.responds("r1", ""), "InvocationResponse", "InvocationResponse"),
    (responded(), lambda s: s.fails("r1", ""), "InvocationResponse", "InvocationErrorResponse"),
    (failed(), lambda s: s.responds("r1", ""), "InvocationErrorResponse", "InvocationResponse"),
    (failed(), lambda s: s.fails("r1", ""), "InvocationErrorResponse", "InvocationErrorResponse"),
]


@pytest.mark.parametrize(("session", "refused", "state", "to"), REFUSED)
def test_a_move_that_is_not_in_the_table_is_refused_and_changes_nothing(
    session: Session, refused: Move, state: str, to: str
) -> None:
    with pytest.raises(Refusal) as caught:
        refused(session)
    refusal = caught.value
    assert (refusal.status, refusal.error_type, refusal.message, session.state) == (
        403,
        "InvalidStateTransition",
        f"State transition from {state} to {to} failed for runtime. Error: State transition is not allowed",
        state,
    )


@pytest.mark.parametrize("session", [Session(), ready(), running(), responded()], ids=repr)
def test_an_answer_for_a_request_that_was_not_given_is_refused_whatever_the_state(session: Session) -> None:
    with pytest.raises(Refusal) as caught:
        session.responds("another", "")
    assert (caught.value.status, caught.value.error_type) == (400, "InvalidRequestID")


def test_an_answer_to_an_invocation_that_is_over_is_refused() -> None:
    session = responded()
    session.polls()
    with pytest.raises(Refusal) as caught:
        session.responds("r1", "")
    assert caught.value.error_type == "InvalidRequestID"


def test_an_answer_that_names_another_attempt_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        running().fails("r1", "another")
    assert (caught.value.status, caught.value.error_type) == (400, "InvalidInvocationId")


def test_the_attempt_need_not_be_named() -> None:
    session = running()
    session.responds("r1", "")
    assert session.state is RuntimeState.RESPONDED


MOVES: dict[str, Move] = {
    "polls": lambda s: s.polls(),
    "is given": lambda s: s.is_given("r1", "a1"),
    "responds": lambda s: s.responds("r1", "a1"),
    "fails": lambda s: s.fails("r1", "a1"),
    "responds to another": lambda s: s.responds("r9", ""),
    "fails to initialise": lambda s: s.fails_to_initialise(),
}


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=20))
def test_whatever_a_runtime_does_an_event_is_answered_at_most_once(moves: list[str]) -> None:
    session = Session()
    given_, answered = 0, 0
    for name in moves:
        before = repr(session)
        try:
            MOVES[name](session)
        except Refusal:
            assert repr(session) == before
            continue
        given_ += name == "is given"
        answered += name in {"responds", "fails"}
        assert given_ - 1 <= answered <= given_


def test_with_snap_start_the_init_ends_with_the_first_poll_after_the_restore() -> None:
    session = Session()
    assert session.waits_for_restore()
    assert not session.waits_for_restore()
    session.is_restored()
    assert session.polls() is Poll.INITIALISED


def test_what_has_not_been_restored_gets_no_event_and_may_still_fail_to_initialise() -> None:
    session = Session()
    session.waits_for_restore()
    with pytest.raises(Refusal, match="from RestoreReady to Ready failed"):
        session.polls()
    session.fails_to_initialise()
    assert session.state is RuntimeState.INIT_ERROR


def test_a_restore_fails_only_while_it_runs() -> None:
    session = Session()
    with pytest.raises(Refusal, match="from Started to RestoreError failed"):
        session.fails_to_restore()
    session.waits_for_restore()
    session.is_restored()
    session.fails_to_restore()
    with pytest.raises(Refusal, match="from RestoreError to Ready failed"):
        session.polls()
