"""Signatures and routes see the same path, or one signature would do for two operations."""

import pytest
from botocore.utils import normalize_url_path
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.wire.paths import normalise

SEGMENTS = st.lists(st.sampled_from(["", ".", "..", "...", "a", "%2E", "a.b", ".a"]), max_size=8)


@given(SEGMENTS)
def test_a_path_is_normalised_as_botocore_does_it(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    assert normalise(path) == normalize_url_path(path)


@given(SEGMENTS)
def test_the_normal_form_is_normal(segments: list[str]) -> None:
    once = normalise("/" + "/".join(segments))
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("path", "normal"), [("", "/"), ("/", "/"), ("//", "/"), ("/a/./b/../c//", "/a/c/"), ("/..", "/")]
)
def test_a_path_has_one_normal_form(path: str, normal: str) -> None:
    assert normalise(path) == normal
