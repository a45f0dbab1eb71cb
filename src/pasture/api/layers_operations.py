"""PublishLayerVersion, GetLayerVersion, ListLayers and the others of layers, and their policies."""

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pasture.api.paging import mark, unmark, unmark_number
from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.function import Code
from pasture.domain.layer import LayerRef, LayerStatement, LayerVersion, parse_layer, parse_layer_arn
from pasture.functions import validation
from pasture.functions.configuration import shown_signature
from pasture.functions.layers import Layers, denied
from pasture.functions.sources import Sources
from pasture.kit.clock import aws_timestamp

if TYPE_CHECKING:
    from pasture.api.call import Call

Link = Callable[[str, str, str], str]
"""Where a package can be fetched: (base URL, hex SHA-256, file name) → URL."""

PAGE = 50


class LayersOperations:
    def __init__(self, layers: Layers, link: Link, sources: Sources) -> None:
        self._layers = layers
        self._sources = sources
        self._link = link

    # Versions...

    async def publish_layer_version(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        validation.check_layer_content(request["Content"])
        ref = _own(call, request, "PublishLayerVersion")
        draft = LayerVersion(
            scope=ref.scope,
            name=ref.name,
            number=0,
            code=Code("", 0),
            created=0.0,
            description=request.get("Description", ""),
            license=request.get("LicenseInfo", ""),
            runtimes=_sent(request, "CompatibleRuntimes"),
            architectures=_sent(request, "CompatibleArchitectures"),
        )
        async with self._sources.package(request["Content"], call.scope) as package:
            return self._shown(call, await self._layers.publish(draft, package))

    async def get_layer_version(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return self._shown(call, await self._readable(call, _asked_for(call, request)))

    async def get_layer_version_by_arn(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = parse_layer_arn(request["Arn"])
        if ref is None:  # AWS's own layers
            raise _no_resource()
        return self._shown(call, await self._readable(call, ref))

    async def delete_layer_version(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        await self._layers.delete(_own(call, request, "DeleteLayerVersion"))
        return {}

    async def list_layers(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        found, next_name = await self._layers.list(
            call.scope,
            after=unmark(request.get("Marker")),
            limit=request.get("MaxItems", PAGE),
            runtime=request.get("CompatibleRuntime"),
            architecture=request.get("CompatibleArchitecture"),
        )
        layers = [
            {"LayerName": layer.name, "LayerArn": layer.layer_arn, "LatestMatchingVersion": _listed(layer)}
            for layer in found
        ]
        return {"Layers": layers, **({"NextMarker": mark(next_name)} if next_name is not None else {})}

    async def list_layer_versions(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        """The newest first; an unknown layer has none."""
        ref = _own(call, request, "ListLayerVersions")
        before = unmark_number(request.get("Marker"), first=0)
        found = await self._layers.versions(
            ref.scope,
            ref.name,
            runtime=request.get("CompatibleRuntime"),
            architecture=request.get("CompatibleArchitecture"),
        )
        rest = [version for version in found if not before or version.number < before]
        page = rest[: request.get("MaxItems", PAGE)]
        answer: dict[str, Any] = {"LayerVersions": [_listed(version) for version in page]}
        if len(rest) > len(page):
            answer["NextMarker"] = mark(str(page[-1].number))
        return answer

    # Policies...

    async def add_layer_version_permission(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _own(call, request, "AddLayerVersionPermission")
        statement = LayerStatement(request["StatementId"], request["Principal"], request.get("OrganizationId", ""))
        if statement.organization and statement.principal != "*":
            raise InvalidParameterValue("OrganizationId can only be given with the Principal *.")
        version = await self._layers.permit(ref, statement, request.get("RevisionId"))
        return {"Statement": _json(statement.shown(version.arn)), "RevisionId": version.policy_revision}

    async def get_layer_version_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _own(call, request, "GetLayerVersionPolicy")
        version = await self._layers.find(ref)
        if version is None:
            raise ResourceNotFound(f"Layer version {ref.arn} does not exist.")
        if not version.statements:
            raise ResourceNotFound("No policy is associated with the given resource.")
        statements = [statement.shown(version.arn) for statement in version.statements.values()]
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
        return {"Policy": _json(policy), "RevisionId": version.policy_revision}

    async def remove_layer_version_permission(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _own(call, request, "RemoveLayerVersionPermission")
        await self._layers.forbid(ref, request["StatementId"], request.get("RevisionId"))
        return {}

    async def _readable(self, call: "Call", ref: LayerRef) -> LayerVersion:
        """Of the caller's account, or of one whose policy lets the caller read it."""
        version = await self._layers.find(ref) if ref.scope.region == call.scope.region else None
        if ref.scope.account != call.scope.account and (version is None or not version.permits(call.scope.account)):
            raise denied(ref.arn, call.principal.arn)
        if version is None:
            raise _no_resource()
        return version

    def _shown(self, call: "Call", version: LayerVersion) -> dict[str, Any]:
        content = {
            "Location": self._link(call.base_url, version.code.sha256, f"{version.name}-{version.number}.zip"),
            "CodeSha256": base64.b64encode(bytes.fromhex(version.code.sha256)).decode(),
            "CodeSize": version.code.size,
            **shown_signature(version.code),
        }
        return {"Content": content, "LayerArn": version.layer_arn, **_listed(version)}


def _listed(version: LayerVersion) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "LayerVersionArn": version.arn,
        "Version": version.number,
        "Description": version.description,
        "CreatedDate": aws_timestamp(version.created),
    }
    if version.runtimes is not None:
        shown["CompatibleRuntimes"] = list(version.runtimes)
    if version.architectures is not None:
        shown["CompatibleArchitectures"] = list(version.architectures)
    if version.license:
        shown["LicenseInfo"] = version.license
    return shown


def _sent(request: dict[str, Any], member: str) -> tuple[str, ...] | None:
    return tuple(request[member]) if member in request else None


def _asked_for(call: "Call", request: dict[str, Any]) -> LayerRef:
    ref = parse_layer(request["LayerName"], call.scope)
    if "VersionNumber" not in request:
        return ref
    if request["VersionNumber"] < 1:
        raise InvalidParameterValue("Layer Version Cannot be less than 1")
    return ref._replace(number=request["VersionNumber"])


def _own(call: "Call", request: dict[str, Any], operation: str) -> LayerRef:
    """A layer of the caller's account and region: nobody else may change one."""
    ref = _asked_for(call, request)
    if ref.scope == call.scope:
        return ref
    if ref.scope.account == call.scope.account:
        raise _no_resource()
    raise denied(ref.arn, call.principal.arn, f"lambda:{operation}")


def _no_resource() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
