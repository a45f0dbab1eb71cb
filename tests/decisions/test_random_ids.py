"""Identifiers by chance."""

import re
import uuid

from pasture.kit.random_ids import random_hex, random_uuid


def test_a_uuid_is_a_random_one_of_version_4_as_others_read_it() -> None:
    read = [uuid.UUID(random_uuid()) for _ in range(200)]
    assert {(one.version, one.variant) for one in read} == {(4, uuid.RFC_4122)}


def test_no_two_are_the_same_over_many_pages_of_randomness() -> None:
    made = [random_uuid() for _ in range(2_000)]
    assert len(set(made)) == len(made)
    assert all(str(uuid.UUID(one)) == one for one in made)


def test_there_are_as_many_digits_as_were_asked_for() -> None:
    assert [len(random_hex(digits)) for digits in (16, 24, 1, 4096)] == [16, 24, 1, 4096]
    assert re.fullmatch("[0-9a-f]{24}", random_hex(24))
