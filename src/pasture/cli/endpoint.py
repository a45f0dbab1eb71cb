"""Which server is meant, and the key to talk to it with: from the options, the data directory, the environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pasture.api.auth.keys import AccessKey, KeyRing
from pasture.cli.failure import nobody_answers
from pasture.domain.scope import DEFAULT_REGION
from pasture.kit.errors import OperatorError
from pasture.settings import DEFAULT_PORT

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"


class Endpoint(msgspec.Struct, frozen=True):
    """What a running server says of itself in DATA_DIR/endpoint.json."""

    url: str
    auth: bool = True
    pid: int = 0
    region: str = DEFAULT_REGION


@dataclass(frozen=True, slots=True)
class Credentials:
    id: str
    secret: str
    account: str | None = None
    """None when only the server knows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look, as the command line says it; None for what it leaves open."""

    data_dir: Path
    endpoint_url: str | None = None
    region: str | None = None

    @property
    def keyring(self) -> KeyRing:
        return KeyRing(self.data_dir / "keys.json")


@dataclass(frozen=True, slots=True)
class Target:
    """The server to talk to."""

    url: str
    region: str
    credentials: Credentials


def running(data_dir: Path) -> Endpoint | None:
    """The server of this data directory, if one says that it runs. Raises OperatorError."""
    path = data_dir / "endpoint.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Endpoint)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.MsgspecError as error:
        raise OperatorError(
            f"cannot read {path}: {error}.", "Restart the server: it writes the file when it is ready."
        ) from error


def find(place: Place, environ: Mapping[str, str], *, make_key: bool = False) -> Target:
    """`make_key`: where there is none, for a server that is not running yet. Raises OperatorError without a key."""
    server = running(place.data_dir)
    url = (place.endpoint_url or (server.url if server else DEFAULT_URL)).rstrip("/")
    ours = server if server is not None and same_address(server.url, url) else None
    here = _speaks_to(environ, url)
    region = place.region or (here and environ.get("AWS_REGION")) or (ours.region if ours else DEFAULT_REGION)
    makes = ours is not None or (make_key and same_address(url, DEFAULT_URL))
    known = environ if here and ours is None else {}
    return Target(url, region, _credentials(place.keyring, url, known, makes=makes))


def first_key(ring: KeyRing) -> AccessKey:
    """The ring's first key that may do everything; whoever may write in the data directory may have one."""
    unlimited = (key for key in ring.list() if key.policy is None)
    return next(unlimited, None) or ring.create(description="command line")


def same_address(one: str, other: str) -> bool:
    return _address(one) == _address(other)


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether anything accepts connections there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=seconds):
            return True
    except OSError:
        return False


def _credentials(ring: KeyRing, url: str, environ: Mapping[str, str], *, makes: bool) -> Credentials:
    """Those of the environment, when that is set up for this server; else the ring's first; else `makes` one."""
    if (key_id := environ.get("AWS_ACCESS_KEY_ID")) and (secret := environ.get("AWS_SECRET_ACCESS_KEY")):
        return Credentials(key_id, secret)
    if makes or ring.list():
        return _of(first_key(ring))
    if not answers(url):
        raise OperatorError(nobody_answers(url))
    raise OperatorError(
        f"There is no access key for {url}.",
        "Set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as `pasture env` prints them there.",
    )


def _of(key: AccessKey) -> Credentials:
    return Credentials(key.id, key.secret, key.account)


def _speaks_to(environ: Mapping[str, str], url: str) -> bool:
    """Whether this shell was set up for that server (`eval "$(pasture env)"`): its keys may be for AWS itself."""
    return same_address(environ.get("AWS_ENDPOINT_URL", ""), url)


def _address(url: str) -> tuple[str, ...]:
    """What two ways to write the same address have in common."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return (url,)
    host = "127.0.0.1" if parts.hostname in {"localhost", "0.0.0.0"} else parts.hostname or ""
    return parts.scheme, host, str(port), parts.path.rstrip("/")
