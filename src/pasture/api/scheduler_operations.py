"""EventBridge Scheduler: schedules and the groups they are in."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api import scheduler_answers as answers
from pasture.api import scheduler_requests as requests
from pasture.api.paging import mark, unmark
from pasture.domain.errors import InvalidParameterValue, ValidationError
from pasture.domain.scope import Scope
from pasture.kit.clock import Clock
from pasture.schedules.errors import ScheduleNotFound
from pasture.schedules.firing import is_function
from pasture.schedules.schedule import DEFAULT_GROUP, Group, GroupKey, ScheduleKey
from pasture.schedules.schedules import Schedules

if TYPE_CHECKING:
    from pasture.api.call import Call

Request = dict[str, Any]
Answer = dict[str, Any]
Assumable = Callable[[str, str, bool], bool]
"""Whether the service may assume a role, for an account, and whether it must be one that is known here."""

_PAGE = 100
_TAGS = 50


class SchedulerOperations:
    partly: ClassVar = {
        "CreateSchedule": "targets are functions, SQS, SNS, event buses, Kinesis, Firehose, Step Functions and "
        "universal ones; the parameters of others are refused",
        "UpdateSchedule": "as CreateSchedule",
    }

    def __init__(self, schedules: Schedules, clock: Clock, assumable: Assumable) -> None:
        self._schedules = schedules
        self._clock = clock
        self._assumable = assumable

    # Schedules...

    async def create_schedule(self, call: "Call", request: Request) -> Answer:
        key = _key(call.scope, request)
        schedule = requests.schedule_of(request, self._clock.now())
        self._check_role(call.scope, schedule.target.role, schedule.target.arn)
        await self._schedules.create(key, schedule)
        return {"ScheduleArn": key.arn}

    async def update_schedule(self, call: "Call", request: Request) -> Answer:
        """What the request does not name is as in a new one."""
        key = _key(call.scope, request)
        now = self._clock.now()
        target = requests.target_of(request["Target"])
        self._check_role(call.scope, target.role, target.arn)
        await self._schedules.update(key, lambda known: requests.schedule_of(request, now, known))
        return {"ScheduleArn": key.arn}

    async def get_schedule(self, call: "Call", request: Request) -> Answer:
        key = _key(call.scope, request)
        return answers.shown_schedule(key, await self._schedules.get(key))

    async def delete_schedule(self, call: "Call", request: Request) -> Answer:
        await self._schedules.delete(_key(call.scope, request))
        return {}

    async def list_schedules(self, call: "Call", request: Request) -> Answer:
        state = {"ENABLED": True, "DISABLED": False}.get(request.get("State", ""))
        found, after = await self._schedules.page(
            call.scope,
            request.get("GroupName", ""),
            request.get("NamePrefix", ""),
            after=_after(request),
            limit=request.get("MaxResults", _PAGE),
            is_enabled=state,
        )
        shown: Answer = {"Schedules": [answers.summary(*each) for each in found]}
        return {**shown, "NextToken": mark(after)} if after else shown

    def _check_role(self, scope: Scope, role: str, target: str) -> None:
        if not self._assumable(role, scope.account, is_function(target)):
            raise ValidationError(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            )

    # Groups...

    async def create_schedule_group(self, call: "Call", request: Request) -> Answer:
        now = self._clock.now()
        key = GroupKey(call.scope, request["Name"])
        group = Group(now, now, tags=_tags(request.get("Tags", ())), token=request.get("ClientToken", ""))
        _check_tags(group)
        await self._schedules.create_group(key, group)
        return {"ScheduleGroupArn": key.arn}

    async def get_schedule_group(self, call: "Call", request: Request) -> Answer:
        key = GroupKey(call.scope, request["Name"])
        return answers.shown_group(key, await self._schedules.group(key))

    async def delete_schedule_group(self, call: "Call", request: Request) -> Answer:
        await self._schedules.delete_group(GroupKey(call.scope, request["Name"]))
        return {}

    async def list_schedule_groups(self, call: "Call", request: Request) -> Answer:
        limit = request.get("MaxResults", _PAGE)
        prefix = request.get("NamePrefix", "")
        found = await self._schedules.groups(call.scope, prefix, after=_after(request), limit=limit + 1)
        shown: Answer = {"ScheduleGroups": [answers.shown_group(*each) for each in found[:limit]]}
        return {**shown, "NextToken": mark(found[limit - 1][0].document)} if len(found) > limit else shown

    # Tags, which only groups have...

    async def list_tags_for_resource(self, call: "Call", request: Request) -> Answer:
        group = await self._schedules.group(_group_of(call.scope, request["ResourceArn"]))
        return {"Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()]}

    async def tag_resource(self, call: "Call", request: Request) -> Answer:
        def changed(group: Group) -> Group:
            return _check_tags(dataclasses.replace(group, tags={**group.tags, **_tags(request["Tags"])}))

        await self._schedules.change_group(_group_of(call.scope, request["ResourceArn"]), changed)
        return {}

    async def untag_resource(self, call: "Call", request: Request) -> Answer:
        gone = frozenset(request["TagKeys"])

        def changed(group: Group) -> Group:
            kept = {key: value for key, value in group.tags.items() if key not in gone}
            return dataclasses.replace(group, tags=kept)

        await self._schedules.change_group(_group_of(call.scope, request["ResourceArn"]), changed)
        return {}


def _key(scope: Scope, request: Request) -> ScheduleKey:
    return ScheduleKey(scope, request.get("GroupName", DEFAULT_GROUP), request["Name"])


def _group_of(scope: Scope, arn: str) -> GroupKey:
    """Whoever calls asks about its own, as it is spelled: what was allowed is what is done."""
    key = GroupKey(scope, arn.rpartition("/")[2])
    if key.arn != arn:
        raise ScheduleNotFound(f"Schedule group {arn} does not exist.")
    return key


def _after(request: Request) -> str:
    try:
        return unmark(request.get("NextToken"))
    except InvalidParameterValue as error:
        raise ValidationError("Invalid NextToken.") from error


def _tags(listed: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed}


def _check_tags(group: Group) -> Group:
    if len(group.tags) > _TAGS:
        raise ValidationError(f"A schedule group has at most {_TAGS} tags.")
    return group
