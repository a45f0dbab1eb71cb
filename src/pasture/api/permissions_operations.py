"""AddPermission, RemovePermission, GetPolicy, and the same policies whole: Get, Put and DeleteResourcePolicy."""

import json
from typing import TYPE_CHECKING, Any

from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.function import LATEST
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.permissions_document import adding, checked, removing, statement_of
from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Kind, parse, read

if TYPE_CHECKING:
    from pasture.api.call import Call


class PermissionsOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    # Statement by statement...

    async def add_permission(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        if ref.qualifier == LATEST:
            raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
        scope = ref.scope(call.scope)
        await self._catalog.permissions.find(scope, ref.name, ref.qualifier or "")
        statement = statement_of(request, scope, ref.arn(call.scope))
        await self._catalog.permissions.change(
            scope, ref.name, ref.qualifier or "", adding(statement), request.get("RevisionId")
        )
        return {"Statement": _json(statement)}

    async def remove_permission(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        scope = ref.scope(call.scope)
        if await self._catalog.find(scope, ref.name) is None:
            raise ResourceNotFound(f"No policy found for: {scope.function_arn(ref.name)}")
        await self._catalog.permissions.change(
            scope, ref.name, _kept_under(ref), removing(request["StatementId"]), request.get("RevisionId")
        )
        return {}

    async def get_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return await self._shown(call, locate_function(request["FunctionName"], call.scope, request.get("Qualifier")))

    # Whole...

    async def get_resource_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        return await self._shown(call, _resource(call, request))

    async def put_resource_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _resource(call, request)
        if ref.qualifier == LATEST:
            raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
        document = _checked(request["Policy"])
        revision = await self._catalog.permissions.change(
            ref.scope(call.scope), ref.name, ref.qualifier or "", lambda _: document, request.get("RevisionId")
        )
        return {"Policy": document, "RevisionId": revision}

    async def delete_resource_policy(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref = _resource(call, request)

        def edit(document: str | None) -> None:
            if document is None:
                raise _no_policy()

        await self._catalog.permissions.change(
            ref.scope(call.scope), ref.name, _kept_under(ref), edit, request.get("RevisionId")
        )
        return {}

    async def _shown(self, call: "Call", ref: FunctionRef) -> dict[str, Any]:
        document, revision = await self._catalog.permissions.find(ref.scope(call.scope), ref.name, _kept_under(ref))
        if document is None:
            raise _no_policy()
        return {"Policy": document, "RevisionId": revision}


def _kept_under(ref: FunctionRef) -> str:
    return "" if ref.is_latest else ref.qualifier or ""


def _resource(call: "Call", request: dict[str, Any]) -> FunctionRef:
    arn: str = request["ResourceArn"]
    if ":function:" not in arn:  # a runtime of the customer's own: there are none here
        raise _no_policy()
    return locate_function(arn, call.scope)


def _checked(policy: str) -> str:
    """In the form in which it is kept and shown. Raises InvalidParameterValue in the words of IAM."""
    try:
        content = read(policy)
        parse(content, Kind.RESOURCE)
    except MalformedPolicy as error:
        raise InvalidParameterValue(error.message) from error
    return checked(content)


def _no_policy() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
