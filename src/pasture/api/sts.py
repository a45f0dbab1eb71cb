"""Who am I? The one operation of STS that needs no roles."""

from typing import Any

from pasture.api.call import Call


class CallerIdentity:
    async def get_caller_identity(self, call: Call, _request: dict[str, Any]) -> dict[str, Any]:
        who = call.principal
        return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}
