"""PutRuntimeManagementConfig and GetRuntimeManagementConfig, of `$LATEST` and of versions."""

from typing import TYPE_CHECKING, Any, ClassVar

from pasture.domain.errors import InvalidParameterValue, ResourceNotFound
from pasture.domain.function import LATEST
from pasture.domain.function_settings import RuntimeManagement
from pasture.domain.identifiers import FunctionRef, locate_function
from pasture.functions.catalog import Catalog
from pasture.functions.settings import with_settings

if TYPE_CHECKING:
    from pasture.api.call import Call


class RuntimeManagementOperations:
    kept: ClassVar = "a runtime is updated when the machine's interpreter is"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def put_runtime_management_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref, qualifier = await self._version(call, request)
        managed = _asked(request)
        await self._catalog.change(
            ref.scope(call.scope),
            ref.name,
            lambda f: with_settings(f, runtime_management={**f.settings.runtime_management, qualifier: managed}),
        )
        return _shown(call, ref, managed)

    async def get_runtime_management_config(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        ref, qualifier = await self._version(call, request)
        function = await self._catalog.get(ref.scope(call.scope), ref.name)
        return _shown(call, ref, function.settings.runtime_management.get(qualifier, RuntimeManagement()))

    async def _version(self, call: "Call", request: dict[str, Any]) -> tuple[FunctionRef, str]:
        """Raises ResourceNotFound; an alias has no runtime of its own."""
        ref = locate_function(request["FunctionName"], call.scope, request.get("Qualifier"))
        qualifier = ref.qualifier or LATEST
        if await self._catalog.find_version(ref.scope(call.scope), ref.name, qualifier) is None:
            raise ResourceNotFound(f"Function not found: {ref.arn(call.scope)}")
        return ref, qualifier


def _asked(request: dict[str, Any]) -> RuntimeManagement:
    update_on, arn = request["UpdateRuntimeOn"], request.get("RuntimeVersionArn", "")
    if bool(arn) != (update_on == "Manual"):
        raise InvalidParameterValue("RuntimeVersionArn must be given when UpdateRuntimeOn is Manual, and only then.")
    return RuntimeManagement(update_on, arn)


def _shown(call: "Call", ref: FunctionRef, managed: RuntimeManagement) -> dict[str, Any]:
    shown = {"UpdateRuntimeOn": managed.update_on, "FunctionArn": ref.arn(call.scope)}
    return {**shown, "RuntimeVersionArn": managed.version_arn} if managed.version_arn else shown
