"""The operations of CloudWatch Logs on subscription filters."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from pasture.domain.scope import Scope
from pasture.logs import names
from pasture.logs.errors import InvalidParameter
from pasture.logs.patterns import compile_pattern
from pasture.logs.rules import PAGE_NAMES
from pasture.logs.service import LogService
from pasture.logs.subscriptions import Subscription

if TYPE_CHECKING:
    from pasture.api.call import Call

Answer = dict[str, Any]

Check = Callable[[Scope, str, str], Awaitable[bool]]
"""Whether log events of a group may be handed to a function, by its ARN."""

_FUNCTIONS_GROUPS = "/aws/lambda/"
_NOT_SERVED = ("fieldSelectionCriteria", "emitSystemFields", "applyOnTransformedLogs")


class LogSubscriptionOperations:
    partly: Mapping[str, str] = {
        "PutSubscriptionFilter": "destinations are functions; no transformed logs, no selection by fields",
    }

    def __init__(self, service: LogService, check: Check) -> None:
        self._service = service
        self._check = check

    async def put_subscription_filter(self, call: "Call", request: dict[str, Any]) -> Answer:
        group, destination = request["logGroupName"], request["destinationArn"]
        for member in _NOT_SERVED:
            if request.get(member):
                raise InvalidParameter(f"{member} is not supported.")
        if "roleArn" in request:
            raise InvalidParameter("destinationArn for vendor lambda cannot be used with roleArn")
        compile_pattern(request["filterPattern"])
        await self._service.group(call.scope, group)
        await self._check_destination(call.scope, group, destination)
        subscription = Subscription(
            request["filterName"], request["filterPattern"], destination, request.get("distribution", "ByLogStream")
        )
        await self._service.put_subscription(call.scope, group, subscription)
        return {}

    async def _check_destination(self, scope: Scope, group: str, destination: str) -> None:
        function = scope.function_arn("")
        if not destination.startswith(function):
            raise InvalidParameter("destinationArn must be that of a Lambda function of the log group's own account.")
        if group == _FUNCTIONS_GROUPS + destination.removeprefix(function).partition(":")[0]:
            raise InvalidParameter(
                "The log group provided is reserved for the function logs of the destination function."
            )
        if not await self._check(scope, group, destination):
            raise InvalidParameter(
                "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute "
                "your function."
            )

    async def describe_subscription_filters(self, call: "Call", request: dict[str, Any]) -> Answer:
        group, prefix = request["logGroupName"], request.get("filterNamePrefix", "")
        after = names.parse_opaque_token(request["nextToken"], str)[0] if "nextToken" in request else ""
        limit = request.get("limit", PAGE_NAMES)
        found = await self._service.subscriptions(call.scope, group)
        wanted = [one for one in found if one.name.startswith(prefix) and one.name > after]
        page = wanted[:limit]
        more = {"nextToken": names.opaque_token(page[-1].name)} if len(wanted) > limit else {}
        return {"subscriptionFilters": [_shown(group, one) for one in page], **more}

    async def delete_subscription_filter(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.delete_subscription(call.scope, request["logGroupName"], request["filterName"])
        return {}


def _shown(group: str, subscription: Subscription) -> Answer:
    return {
        "filterName": subscription.name,
        "logGroupName": group,
        "filterPattern": subscription.pattern,
        "destinationArn": subscription.destination,
        "distribution": subscription.distribution,
        "applyOnTransformedLogs": False,
        "creationTime": subscription.created,
    }
