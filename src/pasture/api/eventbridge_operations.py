"""EventBridge: buses, rules and their targets, and events."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api import eventbridge_answers as answers
from pasture.api import eventbridge_requests as requests
from pasture.api.paging import mark, unmark, unmark_number
from pasture.domain.errors import InvalidParameterValue, ValidationError
from pasture.kit.clock import Clock
from pasture.schedules.event_patterns import matcher
from pasture.schedules.rule import Bus, BusKey, Rule, RuleKey
from pasture.schedules.rules import Rules

if TYPE_CHECKING:
    from pasture.api.call import Call

Request = dict[str, Any]
Answer = dict[str, Any]

_PAGE = 100
# Of buses: checked, kept and shown, and without effect.
_KEPT = ("KmsKeyIdentifier", "DeadLetterConfig", "LogConfig")


class EventbridgeOperations:
    partly: ClassVar = {
        "PutTargets": "targets are functions, SQS, SNS, event buses, Kinesis, Firehose and Step Functions; the "
        "parameters of others are refused",
        "CreateEventBus": "partner buses are refused; keys, log settings and dead-letter queues of buses are only kept",
        "UpdateEventBus": "as CreateEventBus",
        "PutEvents": "EndpointId is refused",
    }

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    # Rules...

    async def put_rule(self, call: "Call", request: Request) -> Answer:
        key = requests.rule_of(call.scope, request)
        now = self._clock.now()
        await self._rules.put(key, lambda known: requests.rule(key, request, known, now))
        return {"RuleArn": key.arn}

    async def describe_rule(self, call: "Call", request: Request) -> Answer:
        key = requests.rule_of(call.scope, request)
        return {**answers.shown_rule(key, await self._rules.get(key)), "CreatedBy": key.scope.account}

    async def delete_rule(self, call: "Call", request: Request) -> Answer:
        await self._rules.delete(requests.rule_of(call.scope, request))
        return {}

    async def enable_rule(self, call: "Call", request: Request) -> Answer:
        return await self._turn(call, request, "ENABLED")

    async def disable_rule(self, call: "Call", request: Request) -> Answer:
        return await self._turn(call, request, "DISABLED")

    async def _turn(self, call: "Call", request: Request, state: str) -> Answer:
        key = requests.rule_of(call.scope, request)
        await self._rules.change(key, lambda rule: dataclasses.replace(rule, state=state))
        return {}

    async def list_rules(self, call: "Call", request: Request) -> Answer:
        bus = requests.own_bus(call.scope, request.get("EventBusName"))
        limit, prefix = request.get("Limit", _PAGE), request.get("NamePrefix", "")
        found = await self._rules.page(bus, prefix, after=_after(request), limit=limit + 1)
        shown: Answer = {"Rules": [answers.shown_rule(*each) for each in found[:limit]]}
        return _page(shown, found, limit)

    async def list_rule_names_by_target(self, call: "Call", request: Request) -> Answer:
        bus = requests.own_bus(call.scope, request.get("EventBusName"))
        limit, arn = request.get("Limit", _PAGE), request["TargetArn"]
        found = await self._rules.aiming_at(arn, bus, after=_after(request), limit=limit + 1)
        # A function is found by its name without a qualifier too, and asked for as it was given.
        names = [key.name for key, rule in found[:limit] if arn in {to.target.arn for to in rule.targets.values()}]
        return _page({"RuleNames": names}, found, limit)

    # Targets...

    async def put_targets(self, call: "Call", request: Request) -> Answer:
        key = requests.rule_of(call.scope, request, "Rule")
        await self._rules.change(key, lambda rule: requests.with_targets(rule, request["Targets"]))
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def remove_targets(self, call: "Call", request: Request) -> Answer:
        key, ids = requests.rule_of(call.scope, request, "Rule"), request["Ids"]
        missing: list[str] = []

        def without(rule: Rule) -> Rule:
            missing[:] = [id_ for id_ in ids if id_ not in rule.targets]
            return dataclasses.replace(rule, targets={i: to for i, to in rule.targets.items() if i not in ids})

        await self._rules.change(key, without)
        failed = [
            {
                "TargetId": id_,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": f"Rule {key.name} does not have a target with the Id {id_}.",
            }
            for id_ in missing
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def list_targets_by_rule(self, call: "Call", request: Request) -> Answer:
        rule = await self._rules.get(requests.rule_of(call.scope, request, "Rule"))
        limit = request.get("Limit", _PAGE)
        try:
            start = unmark_number(request.get("NextToken"), first=0)
        except InvalidParameterValue as error:
            raise ValidationError("Invalid NextToken.") from error
        shown = [answers.shown_target(*each) for each in rule.targets.items()]
        answer: Answer = {"Targets": shown[start : start + limit]}
        return {**answer, "NextToken": mark(str(start + limit))} if len(shown) > start + limit else answer

    # Events...

    async def put_events(self, call: "Call", request: Request) -> Answer:
        if "EndpointId" in request:
            raise ValidationError("EndpointId is not served by Pasture: there are no global endpoints.")
        return await self._rules.put_events(call.scope, request)

    async def test_event_pattern(self, call: "Call", request: Request) -> Answer:  # noqa: ARG002 (one form for all)
        requests.check_pattern(request["EventPattern"])
        event = requests.event(request["Event"])
        return {"Result": matcher(request["EventPattern"])(event)}

    # Buses...

    async def create_event_bus(self, call: "Call", request: Request) -> Answer:
        key = BusKey(call.scope, request["Name"])
        if "EventSourceName" in request or "/" in key.name:
            raise ValidationError("Buses of partners are not served by Pasture.")
        now = self._clock.now()
        kept = {member: request[member] for member in _KEPT if member in request}
        bus = Bus(now, now, request.get("Description", ""), kept, requests.tags_of(request.get("Tags", ())))
        await self._rules.create_bus(key, bus)
        return {"EventBusArn": key.arn, **kept, **({"Description": bus.description} if bus.description else {})}

    async def describe_event_bus(self, call: "Call", request: Request) -> Answer:
        key = requests.own_bus(call.scope, request.get("Name"))
        bus = await self._rules.bus(key)
        return {**answers.shown_bus(key, bus), **bus.options}

    async def update_event_bus(self, call: "Call", request: Request) -> Answer:
        key = requests.own_bus(call.scope, request.get("Name"))

        def changed(bus: Bus) -> Bus:
            options = {**bus.options, **{member: request[member] for member in _KEPT if member in request}}
            return dataclasses.replace(bus, description=request.get("Description", bus.description), options=options)

        bus = await self._rules.change_bus(key, changed)
        return {"Arn": key.arn, "Name": key.name, "Description": bus.description, **bus.options}

    async def delete_event_bus(self, call: "Call", request: Request) -> Answer:
        await self._rules.delete_bus(BusKey(call.scope, request["Name"]))
        return {}

    async def list_event_buses(self, call: "Call", request: Request) -> Answer:
        limit, prefix = request.get("Limit", _PAGE), request.get("NamePrefix", "")
        found = await self._rules.buses(call.scope, prefix, after=_after(request), limit=limit + 1)
        return _page({"EventBuses": [answers.shown_bus(*each) for each in found[:limit]]}, found, limit)

    # Tags...

    async def tag_resource(self, call: "Call", request: Request) -> Answer:
        added = requests.tags_of(request["Tags"])
        return await self._change_tags(call, request, lambda tags: {**tags, **added})

    async def untag_resource(self, call: "Call", request: Request) -> Answer:
        gone = frozenset(request["TagKeys"])
        return await self._change_tags(call, request, lambda tags: {k: v for k, v in tags.items() if k not in gone})

    async def list_tags_for_resource(self, call: "Call", request: Request) -> Answer:
        key = requests.tagged(call.scope, request["ResourceARN"])
        holder = await (self._rules.get(key) if isinstance(key, RuleKey) else self._rules.bus(key))
        return {"Tags": [{"Key": name, "Value": value} for name, value in holder.tags.items()]}

    async def _change_tags(
        self, call: "Call", request: Request, edit: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> Answer:
        key = requests.tagged(call.scope, request["ResourceARN"])
        if isinstance(key, RuleKey):
            await self._rules.change(key, lambda rule: dataclasses.replace(rule, tags=edit(rule.tags)))
        else:
            await self._rules.change_bus(key, lambda bus: dataclasses.replace(bus, tags=edit(bus.tags)))
        return {}


def _after(request: Request) -> str:
    try:
        return unmark(request.get("NextToken"))
    except InvalidParameterValue as error:
        raise ValidationError("Invalid NextToken.") from error


def _page(shown: Answer, found: list[Any], limit: int) -> Answer:
    """`found` is one more than is shown, if there are more."""
    return {**shown, "NextToken": mark(found[limit - 1][0].document)} if len(found) > limit else shown
