"""The operations of code signing configurations, and of which function has which."""

import dataclasses
from typing import TYPE_CHECKING, Any

from pasture.api.function_answers import require_function
from pasture.api.paging import mark, unmark
from pasture.domain.code_signing import (
    PROFILE_VERSION_ARN,
    CodeSigningConfig,
    ConfigRef,
    Untrusted,
    parse_config_arn,
)
from pasture.domain.errors import InvalidParameterValue
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.code_signing_configs import not_found
from pasture.functions.validation import check_tags
from pasture.kit.clock import aws_timestamp

if TYPE_CHECKING:
    from pasture.api.call import Call

PAGE = 50


class CodeSigningOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._code_signing = catalog.code_signing
        self._configs = catalog.code_signing.configs

    # Configurations...

    async def create_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        check_tags(request.get("Tags") or {})
        draft = CodeSigningConfig(call.scope, "", (), 0.0, tags=request.get("Tags") or {})
        return _answer(await self._configs.create(_edited(draft, request)))

    async def get_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return _answer(await self._configs.get(_own(call, request)))

    async def update_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return _answer(await self._configs.update(_own(call, request), lambda config: _edited(config, request)))

    async def delete_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        await self._configs.delete(_own(call, request))
        return {}

    async def list_code_signing_configs(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        found, following = await self._configs.list(call.scope, **_page(request))
        return {"CodeSigningConfigs": [_shown(config) for config in found], **_next(following)}

    async def list_functions_by_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _own(call, request)
        await self._configs.get(ref)
        names, following = await self._configs.functions(ref, **_page(request))
        return {"FunctionArns": [ref.scope.function_arn(name) for name in names], **_next(following)}

    # Of a function...

    async def put_function_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref, arn = _function(call, request), request["CodeSigningConfigArn"]
        await self._code_signing.attach(ref.scope(call.scope), ref.name, arn)
        return {"CodeSigningConfigArn": arn, "FunctionName": ref.name}

    async def get_function_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """Empty for a function without one, as clients of AWS expect, though the model calls the members required."""
        ref = _function(call, request)
        arn = (await self._catalog.get(ref.scope(call.scope), ref.name)).code_signing_config
        return {"CodeSigningConfigArn": arn, "FunctionName": ref.name} if arn else {}

    async def delete_function_code_signing_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _function(call, request)
        await self._code_signing.attach(ref.scope(call.scope), ref.name, "")
        return {}


def _edited(config: CodeSigningConfig, request: dict[str, Any]) -> CodeSigningConfig:
    """What the request does not name stays."""
    changes: dict[str, Any] = {}
    if "AllowedPublishers" in request:
        changes["publishers"] = _publishers(request["AllowedPublishers"])
    if "Description" in request:
        changes["description"] = request["Description"]
    if untrusted := (request.get("CodeSigningPolicies") or {}).get("UntrustedArtifactOnDeployment"):
        changes["untrusted"] = Untrusted(untrusted)
    return dataclasses.replace(config, **changes)


def _publishers(allowed: dict[str, Any]) -> tuple[str, ...]:
    arns = allowed["SigningProfileVersionArns"]
    for arn in arns:
        if not PROFILE_VERSION_ARN.fullmatch(arn):
            raise InvalidParameterValue(
                f"{arn} is not the ARN of a version of a signing profile. It looks like "
                "arn:aws:signer:us-east-1:123456789012:/signing-profiles/name/aBcDeFgHiJ."
            )
    return tuple(arns)


def _own(call: "Call", request: dict[str, Any]) -> ConfigRef:
    """One of the caller's account and region: nobody else may see one."""
    arn = request["CodeSigningConfigArn"]
    ref = parse_config_arn(arn)
    if ref is None or ref.scope != call.scope:
        raise not_found(arn)
    return ref


def _function(call: "Call", request: dict[str, Any]) -> FunctionRef:
    ref = locate_function(request["FunctionName"], call.scope)
    require_function(ref)
    return ref


def _page(request: dict[str, Any]) -> dict[str, Any]:
    return {"after": unmark(request.get("Marker")), "limit": request.get("MaxItems", PAGE)}


def _next(place: str | None) -> dict[str, str]:
    return {"NextMarker": mark(place)} if place is not None else {}


def _answer(config: CodeSigningConfig) -> dict[str, Any]:
    return {"CodeSigningConfig": _shown(config)}


def _shown(config: CodeSigningConfig) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "CodeSigningConfigId": config.id,
        "CodeSigningConfigArn": config.arn,
        "AllowedPublishers": {"SigningProfileVersionArns": list(config.publishers)},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": config.untrusted.value},
        "LastModified": aws_timestamp(config.modified),
    }
    return shown if config.description is None else {**shown, "Description": config.description}
