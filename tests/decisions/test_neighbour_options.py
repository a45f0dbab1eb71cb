"""Which neighbours a server has, as its configuration says it."""

from pathlib import Path
from typing import Any

import pytest

from pasture.kit.errors import OperatorError
from pasture.neighbours.options import Neighbour, NeighbourOptions
from pasture.settings import load


def test_a_service_has_a_neighbour_of_its_own_or_the_one_for_all() -> None:
    options = NeighbourOptions.read({"default": "http://127.0.0.1:5000", "sqs": "aws"})
    assert options.of("sqs") == Neighbour("aws")
    assert options.of("sns") == Neighbour("http://127.0.0.1:5000")
    assert NeighbourOptions.read({"sqs": "aws"}).of("sns") is None


def test_embedded_services_serve_what_has_no_neighbour() -> None:
    options = NeighbourOptions.read({"sqs": "aws"}, embedded=True)
    assert (options.has("sns"), options.of("sns"), options.of("sqs")) == (True, None, Neighbour("aws"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"sqs": "ftp://x"}, "neighbours.sqs: the endpoint is 'ftp://x'; it must be a URL"),
        ({"sqs": "http://x/path"}, "without a path"),
        ({"sqs": "http://user@x"}, "the endpoint is"),
        ({"sqs": ""}, "the endpoint is ''"),
        ({"SQS": "aws"}, "'SQS' is no service's name"),
        ({"sqs": 5}, "neighbours.sqs is 5; it must be a URL"),
        (
            {"sqs": {"endpoint": "aws", "colour": "red"}},
            "neighbours.sqs.colour is no setting; known are: access_key_id",
        ),
        ({"sqs": {"endpoint": "aws", "region": 1}}, "neighbours.sqs.region is 1, which is not a text"),
        ({"sqs": {"endpoint": "aws", "access_key_id": "a"}}, "go together"),
        (
            {"sqs": {"endpoint": "aws", "access_key_id": "a", "secret_access_key": "b", "profile": "c"}},
            "either profile or access_key_id",
        ),
        ({"sqs": {"endpoint": "aws", "session_token": "t"}}, "a session_token goes with an access_key_id"),
    ],
)
def test_what_cannot_be_is_told_with_where_it_stands(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="neighbours") as told:
        NeighbourOptions.read(table)
    assert words in str(told.value)


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "pasture.toml"
    config.write_text(
        '[neighbours]\nsqs = "http://a"\nsns = "http://b"\n[neighbours.s3]\nendpoint = "aws"\nprofile = "p"\n'
    )
    found = load(config, {"neighbour": ("sqs=http://c:1", "http://d")}).neighbours
    assert found.default == Neighbour("http://d")
    assert found.services == {
        "sqs": Neighbour("http://c:1"),
        "sns": Neighbour("http://b"),
        "s3": Neighbour("aws", profile="p"),
    }


def test_a_secret_is_not_shown() -> None:
    options = NeighbourOptions.read({"s3": {"endpoint": "aws", "access_key_id": "AK", "secret_access_key": "hidden"}})
    assert "hidden" not in repr(options)


def test_services_cannot_all_be_embedded_and_elsewhere() -> None:
    with pytest.raises(OperatorError, match="cannot both serve the rest"):
        load(None, {"with_aws": True, "neighbour": ("http://127.0.0.1:5000",)})
