"""What may happen to an environment in which state."""

import pytest

from pasture.environments.lifecycle import EnvironmentState, IllegalMove, move

S = EnvironmentState

LEGAL = {
    (S.STARTING, S.IDLE),
    (S.IDLE, S.BUSY),
    (S.BUSY, S.IDLE),
    (S.STARTING, S.STOPPING),
    (S.IDLE, S.STOPPING),
    (S.BUSY, S.STOPPING),
    (S.STOPPING, S.GONE),
}


@pytest.mark.parametrize(("state", "to"), sorted(LEGAL))
def test_a_legal_move_answers_the_new_state(state: EnvironmentState, to: EnvironmentState) -> None:
    assert move("e1", state, to) is to


@pytest.mark.parametrize(("state", "to"), sorted({(a, b) for a in S for b in S} - LEGAL))
def test_any_other_move_is_refused_with_the_names_of_both_states(state: EnvironmentState, to: EnvironmentState) -> None:
    with pytest.raises(IllegalMove, match=f"^environment e1 cannot go from {state} to {to}$"):
        move("e1", state, to)
