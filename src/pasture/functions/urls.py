"""Where a function's URL is: its host's name, made of the server's own. Pure."""

import hashlib
import ipaddress
from urllib.parse import urlsplit

ID_LENGTH = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def url_id(seed: str) -> str:
    """As AWS's look: 32 small letters and digits. `seed` is never the same twice."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:20])
    return "".join(_LETTERS[number >> 5 * place & 31] for place in range(ID_LENGTH))


def url_of(identifier: str, region: str, base_url: str) -> str:
    """AWS's `https://ID.lambda-url.REGION.on.aws/`, with the server in place of `on.aws`.

    An address cannot be the end of a name. `localhost` can: every name under it is this machine (RFC 6761).
    """
    base = urlsplit(base_url)
    port = f":{base.port}" if base.port else ""
    return f"{base.scheme}://{identifier}.lambda-url.{region}.{_domain(base.hostname or '')}{port}/"


def _domain(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or "localhost"
    return "localhost"
