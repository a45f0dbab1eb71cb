"""Which image an ImageUri names."""

import pytest

from pasture.images.challenge import Challenge
from pasture.images.challenge import parse as challenges
from pasture.images.options import ImageOptions, is_loopback
from pasture.images.reference import BadReference, Reference, parse

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        (f"{ECR}/app:v1", Reference(ECR, "app", "v1")),
        (f"{ECR}/team/app@{DIGEST}", Reference(ECR, "team/app", "", DIGEST)),
        (f"{ECR}/app:v1@{DIGEST}", Reference(ECR, "app", "v1", DIGEST)),
        ("localhost/app", Reference("localhost", "app")),
        ("127.0.0.1:5000/a/b/c", Reference("127.0.0.1:5000", "a/b/c")),
        ("[::1]:5000/app", Reference("[::1]:5000", "app")),
        ("docker.io/python:3.12", Reference("docker.io", "library/python", "3.12")),
        ("oci:/srv/images/app", Reference("", "/srv/images/app", transport="oci")),
        (
            "oci-archive:/srv/images/app.tar:v1",
            Reference("", "/srv/images/app.tar", "v1", transport="oci-archive"),
        ),
    ],
)
def test_a_uri_names_a_registry_or_a_file_and_what_is_in_it(uri: str, meant: Reference) -> None:
    assert parse(uri) == meant


@pytest.mark.parametrize(
    "uri",
    [
        "", "app", "team/app:latest", "https://registry.example/app", f"{ECR}/App", f"{ECR}/app:", f"{ECR}/app@sha256:abc",
        f"{ECR}/", f"{ECR}/a//b", f"{ECR}/../etc", "oci:relative", "oci:/srv/../etc", "file:/etc/passwd",
        f"{ECR}/{'a' * 2000}", "registry.example:99999999/app", "oci:/a\0b", f"{ECR}/app:v1\n",
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused(uri: str) -> None:
    with pytest.raises(BadReference):
        parse(uri)


def test_what_was_found_is_named_by_its_digest_alone() -> None:
    assert str(parse(f"{ECR}/app:v1").at(DIGEST)) == f"{ECR}/app@{DIGEST}"
    assert str(parse("oci:/srv/app:v1").at(DIGEST)) == f"oci:/srv/app@{DIGEST}"
    assert parse(str(parse("oci:/srv/app:v1").at(DIGEST))).digest == DIGEST


def test_a_registry_is_where_its_name_says_unless_a_setting_says_otherwise() -> None:
    options = ImageOptions({ECR: "http://127.0.0.1:5000/"})
    assert options.url(ECR) == "http://127.0.0.1:5000"
    assert options.url("ghcr.io") == "https://ghcr.io"
    assert options.url("docker.io") == "https://registry-1.docker.io"
    assert options.url("localhost:5000") == "http://localhost:5000"


def test_only_loopback_and_what_is_named_is_spoken_to_without_tls() -> None:
    options = ImageOptions({"registry.lan": "http://10.0.0.7:5000"})
    assert options.may_be_plain("10.0.0.7:5000")
    assert options.may_be_plain("127.0.0.1:5000")
    assert not options.may_be_plain("169.254.169.254")
    assert not options.may_be_plain("10.0.0.7")


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("localhost", True), ("localhost:1", True), ("127.8.8.8", True), ("[::1]:5000", True), ("[::1]", True),
        ("example.com", False), ("localhost.example.com", False), ("10.0.0.1:5000", False),
    ],
)  # fmt: skip
def test_loopback_is_told_by_the_address(host: str, is_one: bool) -> None:
    assert is_loopback(host) == is_one


@pytest.mark.parametrize("registries", [{"a": "ftp://b"}, {"a": "https://b/path"}, {"a": 5}])
def test_a_registry_without_a_url_is_no_setting(registries: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is no URL of a server"):
        ImageOptions(registries)


def test_a_challenge_is_a_scheme_with_parameters() -> None:
    header = (
        'Bearer realm="https://auth.example/token",service="a \\"b\\"",scope="repository:app:pull,push", Basic realm=x'
    )
    assert challenges(header) == [
        Challenge(
            "bearer",
            {"realm": "https://auth.example/token", "service": 'a "b"', "scope": "repository:app:pull,push"},
        ),
        Challenge("basic", {"realm": "x"}),
    ]
    assert challenges("") == []
    assert challenges("Negotiate") == [Challenge("negotiate", {})]
