"""Where a function's URL is: under a name of its own, or under the server's. Pure."""

import hashlib
import re
from urllib.parse import urlsplit

ID_LENGTH = 32
PREFIX = "/_pasture/url/"
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"

_HOST = re.compile(r"([a-z2-7]{32})\.lambda-url\.[a-z0-9-]+\.", re.ASCII | re.IGNORECASE)
_TARGET = re.compile(rf"{PREFIX}([a-z2-7]{{32}})(?![^/?])(.*)", re.ASCII | re.DOTALL)


def url_id(seed: str) -> str:
    """As AWS's look: 32 small letters and digits. `seed` is never the same twice."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:20])
    return "".join(_LETTERS[number >> 5 * place & 31] for place in range(ID_LENGTH))


def url_of(identifier: str, region: str, base_url: str, domain: str = "") -> str:
    """Where a client that reaches the server at `base_url` finds it.

    With a domain, whose names all lead here, as AWS's: `http://ID.lambda-url.REGION.DOMAIN:PORT/`. Without one it is
    a path, which opens wherever the server does.
    """
    base = urlsplit(base_url)
    if not domain:
        return f"{base.scheme}://{base.netloc}{PREFIX}{identifier}/"
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{identifier}.lambda-url.{region}.{domain}{port}/"


def id_in_host(host: str) -> str | None:
    """The identifier when it is the host of a function URL, under whatever domain."""
    match = _HOST.match(host)
    return match[1] if match else None


def id_in_target(target: str) -> tuple[str, str] | None:
    """The identifier when it is the path of a function URL, and the target that the function sees."""
    match = _TARGET.match(target)
    if match is None:
        return None
    rest = match[2]
    return match[1], rest if rest.startswith("/") else f"/{rest}"
