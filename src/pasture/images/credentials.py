"""Who this server is to a registry: the `auths` of a file like docker's `config.json`.

It is read whenever it is needed, so that a login counts at once. Helpers that docker would start are not started.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pasture.kit.errors import OperatorError

# Under which the file has Docker Hub.
_HUB = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    user: str = ""
    password: str = ""
    identity_token: str = ""
    """In place of a password, for registries that give tokens for it."""

    def __repr__(self) -> str:
        return f"<Login of {self.user or 'a token'}>"

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login(file: str, registry: str) -> Login | None:
    """For a registry, by its name in references. May block. Raises OperatorError when the file cannot be read."""
    if not file:
        return None
    try:
        content: Any = json.loads(Path(file).read_bytes())
        auths = content.get("auths") or {}
        names = (registry, f"https://{registry}", f"http://{registry}", *(_HUB if registry == "docker.io" else ()))
        found = next((auths[name] for name in names if name in auths), None)
        return _login(found) if found is not None else None
    except OSError as error:
        raise OperatorError(f"cannot read the registries' credentials in {file}: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError, binascii.Error) as error:
        raise OperatorError(f"the registries' credentials in {file} are not like docker's config.json.") from error


def _login(entry: Mapping[str, Any]) -> Login | None:
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    token = entry.get("identitytoken", "")
    return Login(user, password, token) if user or token else None
