"""Where a function's URL is."""

import pytest

from pasture.functions.urls import url_id, url_of


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:3000", "http://abc.lambda-url.eu-west-1.localhost:3000/"),
        ("http://127.0.0.1:3000", "http://abc.lambda-url.eu-west-1.localhost:3000/"),
        ("http://[::1]:3000", "http://abc.lambda-url.eu-west-1.localhost:3000/"),
        ("https://lambda.example.org", "https://abc.lambda-url.eu-west-1.lambda.example.org/"),
    ],
)
def test_a_urls_host_is_under_the_servers_name(base: str, url: str) -> None:
    assert url_of("abc", "eu-west-1", base) == url


def test_an_identifier_is_thirty_two_small_letters_and_digits_and_one_of_its_kind() -> None:
    made = {url_id(str(seed)) for seed in range(1_000)}
    assert len(made) == 1_000
    assert all(len(one) == 32 and one.isalnum() and one == one.lower() for one in made)
