"""Who Pasture is to a broker: what the source access configurations of a mapping and their secrets say."""

from collections.abc import Mapping

from pasture.domain.event_source import EventSourceMapping
from pasture.sources.source import Secret


def named(mapping: EventSourceMapping) -> dict[str, str]:
    """Source access types with their URIs, which are empty where the function's role is the credential."""
    return {one["Type"]: one.get("URI", "") for one in mapping.more.get("SourceAccessConfigurations") or ()}


async def user_and_password(mapping: EventSourceMapping, secret: Secret, access_type: str) -> tuple[str, str]:
    """Raises ValueError, and what a `Secret` raises."""
    uri = named(mapping)[access_type]
    members = await secret(mapping.scope, uri)
    return member(members, "username", uri), member(members, "password", uri)


def member(members: Mapping[str, str], name: str, uri: str) -> str:
    """Raises ValueError."""
    value = members.get(name)
    if not isinstance(value, str):
        raise ValueError(f"The secret {uri} has no {name}")  # noqa: TRY004  the secret is wrong, not a program
    return value
