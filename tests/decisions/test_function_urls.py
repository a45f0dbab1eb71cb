"""Where a function's URL is."""

import pytest

from pasture.functions.urls import id_in_host, id_in_target, url_id, url_of

ID = url_id("one")


@pytest.mark.parametrize(
    ("base", "domain", "url"),
    [
        ("http://127.0.0.1:3000", "", f"http://127.0.0.1:3000/_pasture/url/{ID}/"),
        ("http://[::1]:3000", "", f"http://[::1]:3000/_pasture/url/{ID}/"),
        ("http://127.0.0.1:3000", "localhost", f"http://{ID}.lambda-url.eu-west-1.localhost:3000/"),
        ("https://here.example.org", "example.org", f"https://{ID}.lambda-url.eu-west-1.example.org/"),
    ],
)
def test_a_url_is_a_path_of_the_server_or_a_name_under_its_domain(base: str, domain: str, url: str) -> None:
    assert url_of(ID, "eu-west-1", base, domain) == url


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (f"{ID}.lambda-url.eu-west-1.localhost:3000", ID),
        (f"{ID}.lambda-url.us-east-1.on.aws", ID),
        (f"{ID}.lambda-url.us-east-1", None),
        (f"x{ID}.lambda-url.us-east-1.on.aws", None),
        ("localhost:9600", None),
        ("lambda-url.us-east-1.on.aws", None),
    ],
)
def test_a_host_names_a_function_url_under_any_domain(host: str, found: str | None) -> None:
    assert id_in_host(host) == found


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (f"/_pasture/url/{ID}/", (ID, "/")),
        (f"/_pasture/url/{ID}", (ID, "/")),
        (f"/_pasture/url/{ID}?a=b", (ID, "/?a=b")),
        (f"/_pasture/url/{ID}/x%20y/?a=/b", (ID, "/x%20y/?a=/b")),
        (f"/_pasture/url/{ID}x/", None),
        ("/_pasture/url/short/", None),
        (f"/{ID}/", None),
    ],
)
def test_a_path_names_a_function_url_and_the_function_sees_the_rest(target: str, found: tuple[str, str] | None) -> None:
    assert id_in_target(target) == found


def test_an_identifier_is_thirty_two_small_letters_and_digits_and_one_of_its_kind() -> None:
    made = {url_id(str(seed)) for seed in range(1_000)}
    assert len(made) == 1_000
    assert all(len(one) == 32 and one.isalnum() and one == one.lower() for one in made)
