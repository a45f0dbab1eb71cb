"""Where images come from: what the operator's settings say of it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HUB = "docker.io"
_HUB_AT = "https://registry-1.docker.io"
_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+/?")


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Raises ValueError for what cannot be."""

    registries: Mapping[str, str] = field(default_factory=dict)
    """The name of a registry → the URL where it is. Only a registry that is named here is spoken to without TLS, or one
    on this machine's loopback.
    """
    credentials: str = ""
    """A file like docker's `config.json`, whose `auths` are sent; none are, without it."""
    directories: tuple[str, ...] = ()
    """Images on disk are read from these and what is below them; from nowhere when there are none."""
    certificates: str = ""
    """A file of certificate authorities, in PEM, that registries are believed by beside those of this system."""
    retry_seconds: float = 60.0
    """So long a pull is tried again, when a registry does not answer; at least once."""

    def __post_init__(self) -> None:
        for name, url in self.registries.items():
            if not isinstance(url, str) or not _URL.fullmatch(url):
                raise ValueError(f"the registry {name} is at {url!r}, which is no URL of a server")
        for directory in self.directories:
            if not Path(directory).is_absolute():
                raise ValueError(f"the image directory {directory!r} is no absolute path")

    def url(self, registry: str) -> str:
        """Where a registry is, without a slash at the end."""
        if registry in self.registries:
            return self.registries[registry].rstrip("/")
        if registry == _HUB:
            return _HUB_AT
        return f"{'http' if is_loopback(registry) else 'https'}://{registry}"

    def may_be_plain(self, host: str) -> bool:
        """Whether this host (with a port, if it has one) may be spoken to without TLS."""
        return is_loopback(host) or f"http://{host}" in {url.rstrip("/") for url in self.registries.values()}


def is_loopback(host: str) -> bool:
    """Of `host[:port]`."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
