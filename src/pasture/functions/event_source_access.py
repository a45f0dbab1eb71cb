"""How a source is reached: which SourceAccessConfigurations a kind of source takes, and which need each other. Pure.

The types and what they are for are the API reference's; the words are ours, but for what is recorded from AWS.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pasture.domain.errors import InvalidParameterValue
from pasture.domain.event_source import SourceKind

Access = Mapping[str, Any]

_VIRTUAL_HOST = "VIRTUAL_HOST"
_BASIC = "BASIC_AUTH"
_OAUTH, _AUDIENCE, _IAM_OAUTH = "OAUTHBEARER_AUTH", "OAUTHBEARER_AUDIENCE", "IAM_OAUTHBEARER_AUTH"
_OF_OAUTH = frozenset({"OAUTHBEARER_SCOPE", "OAUTHBEARER_LOGICAL_CLUSTER", "OAUTHBEARER_IDENTITY_POOL"})
# The function's role is the credential.
_WITHOUT_URI = frozenset({"IAM_AUTH", _IAM_OAUTH})

_TYPES = {
    SourceKind.MQ: frozenset({_BASIC, _VIRTUAL_HOST}),
    SourceKind.DOCUMENTDB: frozenset({_BASIC}),
    SourceKind.MSK: frozenset({"SASL_SCRAM_512_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH"}),
    SourceKind.SELF_MANAGED_KAFKA: frozenset({
        _BASIC, "VPC_SUBNET", "VPC_SECURITY_GROUP", "SASL_SCRAM_256_AUTH", "SASL_SCRAM_512_AUTH",
        "CLIENT_CERTIFICATE_TLS_AUTH", "SERVER_ROOT_CA_CERTIFICATE", _OAUTH, _AUDIENCE, *_OF_OAUTH, *_WITHOUT_URI,
    }),
}  # fmt: skip
_REQUIRED = frozenset({SourceKind.MQ, SourceKind.DOCUMENTDB, SourceKind.SELF_MANAGED_KAFKA})
_REQUIRED_BASIC = frozenset({SourceKind.MQ, SourceKind.DOCUMENTDB})


def check_access(kind: SourceKind, configurations: Sequence[Access]) -> None:
    """Of a mapping as it would be."""
    if kind in _REQUIRED and not configurations:
        raise InvalidParameterValue("Required 'sourceAccessConfigurations' parameter is missing.")
    for configuration in configurations:
        _check_one(kind, configuration)
    types = frozenset(configuration["Type"] for configuration in configurations)
    if kind in _REQUIRED_BASIC and _BASIC not in types:
        raise InvalidParameterValue(f"A source access configuration of type {_BASIC} is required for {kind}.")
    _check_together(types)


def check_update(configurations: Sequence[Access]) -> None:
    if any(configuration.get("Type") == _VIRTUAL_HOST for configuration in configurations):
        raise InvalidParameterValue(f"{_VIRTUAL_HOST} cannot be specified in UpdateEventSourceMapping.")


def kept_access(known: Sequence[Access], wanted: Sequence[Access]) -> list[Access]:
    """What an update makes of them: the virtual host stays, since no update can name it."""
    return [*wanted, *(one for one in known if one.get("Type") == _VIRTUAL_HOST)]


def _check_one(kind: SourceKind, configuration: Access) -> None:
    name = configuration.get("Type")
    if name is None:
        raise InvalidParameterValue("Required 'sourceAccessConfigurations.type' parameter is missing.")
    if name not in _TYPES.get(kind, frozenset()):
        raise InvalidParameterValue(f"The source access type {name} is not supported for {kind} event sources.")
    if (name in _WITHOUT_URI) == ("URI" in configuration):
        must = "must not" if name in _WITHOUT_URI else "must"
        raise InvalidParameterValue(f"A source access configuration of type {name} {must} have a URI.")


def _check_together(types: frozenset[str]) -> None:
    if needing := sorted(types & _OF_OAUTH):
        _need(needing[0], _OAUTH, present=_OAUTH in types)
    if _AUDIENCE in types:
        _need(_AUDIENCE, f"{_OAUTH} or {_IAM_OAUTH}", present=bool(types & {_OAUTH, _IAM_OAUTH}))
    if _IAM_OAUTH in types:
        _need(_IAM_OAUTH, _AUDIENCE, present=_AUDIENCE in types)
        if others := sorted(types & {_OAUTH, *_OF_OAUTH}):
            raise InvalidParameterValue(f"The source access type {_IAM_OAUTH} cannot be used with {others[0]}.")


def _need(name: str, needed: str, *, present: bool) -> None:
    if not present:
        raise InvalidParameterValue(f"The source access type {name} requires {needed}.")
