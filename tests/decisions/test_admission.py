"""May it run now?"""

import pytest

from pasture.invoke.admission import ACCOUNT, RESERVED, refusal


@pytest.mark.parametrize(
    ("running", "reserved", "unreserved_running", "unreserved", "reason"),
    [
        (0, None, 0, 1, None),
        (9, None, 9, 10, None),
        (0, None, 10, 10, ACCOUNT),
        (0, 0, 0, 10, RESERVED),
        (1, 2, 10, 10, None),
        (2, 2, 0, 10, RESERVED),
        (3, 2, 0, 10, RESERVED),
    ],
)
def test_a_function_runs_within_its_reservation_or_within_what_is_left(
    running: int, reserved: int | None, unreserved_running: int, unreserved: int, reason: str | None
) -> None:
    asked = refusal(running=running, reserved=reserved, unreserved_running=unreserved_running, unreserved=unreserved)
    assert asked == reason
