"""Temporary credentials: made, read back, forged, expired."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.iam.errors import ExpiredToken, InvalidToken
from pasture.iam.sessions import Sessions, role_id
from pasture.kit.clock import ManualClock

NOW = 1_700_000_000
ROLE = "arn:aws:iam::111122223333:role/team/orders"
SECRET = bytes(range(32))


def sessions(now: float = NOW, secret: bytes = SECRET) -> Sessions:
    return Sessions(secret, ManualClock(now))


def test_a_token_says_who_it_is_after_a_restart_too() -> None:
    made = sessions().issue(ROLE, "ann", 900, policy="{}", holder="111122223333")
    read = sessions(NOW + 899).read(made.session_token, made.access_key_id)
    assert (read.key_id, read.secret, read.expires) == (made.access_key_id, made.secret_access_key, made.expires)
    assert (read.role_arn, read.account, read.role_name, read.name) == (ROLE, "111122223333", "orders", "ann")
    assert (read.arn, read.user_id) == (
        "arn:aws:sts::111122223333:assumed-role/orders/ann",
        f"{role_id(ROLE)}:ann",
    )
    assert (read.issued, made.expires, read.policy, read.is_foreign) == (NOW, NOW + 900, "{}", False)


def test_credentials_look_like_awss() -> None:
    made = sessions().issue(ROLE, "ann", 900)
    assert (made.access_key_id[:4], len(made.access_key_id), len(made.secret_access_key)) == ("ASIA", 20, 40)
    assert (role_id(ROLE)[:4], len(role_id(ROLE))) == ("AROA", 21)


def test_no_two_credentials_are_the_same() -> None:
    maker = sessions()
    made = [maker.issue(ROLE, "ann", 900) for _ in range(100)]
    assert len({one.access_key_id for one in made}) == len({one.secret_access_key for one in made}) == 100


def test_a_secret_is_not_in_a_repr() -> None:
    made = sessions().issue(ROLE, "ann", 900)
    read = sessions().read(made.session_token, made.access_key_id)
    assert made.secret_access_key not in f"{made!r} {read!r}"
    assert made.session_token not in f"{made!r} {read!r}"


def test_a_token_ends() -> None:
    made = sessions().issue(ROLE, "ann", 900)
    with pytest.raises(ExpiredToken):
        sessions(NOW + 900).read(made.session_token, made.access_key_id)


def test_a_token_of_another_server_is_none() -> None:
    made = sessions(secret=bytes(32)).issue(ROLE, "ann", 900)
    with pytest.raises(InvalidToken):
        sessions().read(made.session_token, made.access_key_id)


def test_a_token_belongs_to_its_key() -> None:
    one, other = (sessions().issue(ROLE, "ann", 900) for _ in range(2))
    with pytest.raises(InvalidToken):
        sessions().read(one.session_token, other.access_key_id)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_token_with_any_byte_changed_is_none(place: int, change: int) -> None:
    made = sessions().issue(ROLE, "ann", 900)
    raw = bytearray(base64.b64decode(made.session_token))
    raw[place % len(raw)] ^= change
    with pytest.raises(InvalidToken):
        sessions().read(base64.b64encode(raw).decode(), made.access_key_id)


@given(st.text())
def test_whatever_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        sessions().read(text, "ASIA")


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(InvalidToken):
        sessions().read("A" * 1_000_000, "ASIA")


def test_a_function_with_another_accounts_role_holds_a_foreign_session() -> None:
    made = sessions().issue(ROLE, "f", 900, holder="444455556666")
    assert sessions().read(made.session_token, made.access_key_id).is_foreign


def test_only_a_role_has_sessions() -> None:
    with pytest.raises(ValueError, match="not a role's ARN: arn:aws:iam::111122223333:user/ann"):
        sessions().issue("arn:aws:iam::111122223333:user/ann", "ann", 900)
