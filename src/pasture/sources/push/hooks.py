"""The table `[hooks]`: functions that may be called by a webhook, and with which token. Pure."""

import hmac
from collections.abc import Mapping

from pasture.domain.errors import ApiError
from pasture.domain.identifiers import locate_function
from pasture.domain.scope import Scope

_SHORTEST = 16


class Hooks:
    def __init__(self, table: Mapping[str, str] = {}) -> None:
        """Functions by name or ARN, with a qualifier or without → token. Raises ValueError, whose message says which
        entry cannot be.
        """
        self._known: dict[str, tuple[str, bytes]] = {}
        for name, token in table.items():
            if not isinstance(token, str) or not token.isascii() or len(token) < _SHORTEST or " " in token:
                raise ValueError(
                    f"hooks: the token of {name} must be a text of at least {_SHORTEST} ASCII characters without spaces"
                )
            try:
                arn = locate_function(name, Scope()).arn(Scope())
            except ApiError as error:
                raise ValueError(f"hooks: {name} names no function") from error
            self._known[name] = (arn, token.encode())

    def function(self, name: str, authorization: str) -> str:
        """The ARN of the function that a hook's caller may have called; empty when he may not."""
        # Whoever guesses learns nothing of names by the time that it takes.
        arn, token = self._known.get(name, ("", b"\0"))
        given = authorization.removeprefix("Bearer ").encode()
        return arn if hmac.compare_digest(token, given) else ""
