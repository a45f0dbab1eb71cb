"""The operations of CloudWatch Logs that readers of logs, tails and clean-ups call.

Requests and answers are dicts by the `logs` service model; the wire engine has checked
requests by it.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pasture.domain.scope import Scope
from pasture.logs import names, rules
from pasture.logs.errors import InvalidParameter, ResourceNotFound
from pasture.logs.patterns import compile_pattern
from pasture.logs.records import Group, Position, Search, Span, StoredEvent, Stream
from pasture.logs.service import EventsQuery, LogService
from pasture.logs.spec import LogEvent

if TYPE_CHECKING:
    from pasture.api.call import Call

Answer = dict[str, Any]

# Times are 64-bit on the wire; no event is this late.
_LATEST = 1 << 60
# FilterLogEvents: newest first is supported from 2024 on.
_DESCENDING_FROM_MS = 1_704_067_200_000


class LogsOperations:
    def __init__(self, service: LogService) -> None:
        self._service = service

    # Groups...

    async def create_log_group(self, call: "Call", request: dict[str, Any]) -> Answer:
        group = Group(
            request["logGroupName"],
            created=0,
            log_class=request.get("logGroupClass", "STANDARD"),
            kms_key_id=request.get("kmsKeyId", ""),
            protected=request.get("deletionProtectionEnabled", False),
            tags=request.get("tags", {}),
        )
        await self._service.create_group(call.scope, group)
        return {}

    async def delete_log_group(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.delete_group(call.scope, request["logGroupName"])
        return {}

    async def describe_log_groups(self, call: "Call", request: dict[str, Any]) -> Answer:
        prefix, pattern = request.get("logGroupNamePrefix", ""), request.get("logGroupNamePattern", "")
        if prefix and pattern:
            raise InvalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        if "logGroupIdentifiers" in request:
            return {"logGroups": await self._identified(call.scope, request["logGroupIdentifiers"])}
        limit = request.get("limit", rules.PAGE_NAMES)
        after = names.parse_opaque_token(request["nextToken"], str)[0] if "nextToken" in request else ""
        groups = await self._service.groups(call.scope, prefix=prefix, containing=pattern, after=after, limit=limit + 1)
        page = groups[:limit]
        log_class = request.get("logGroupClass")
        shown = [_group(call.scope, group) for group in page if log_class in {None, group.log_class}]
        more = {"nextToken": names.opaque_token(page[-1].name)} if len(groups) > limit else {}
        return {"logGroups": shown, **more}

    async def _identified(self, scope: Scope, identifiers: Sequence[str]) -> list[Answer]:
        """Those that there are."""
        shown = []
        for identifier in identifiers:
            with suppress(ResourceNotFound):
                name = names.group_of_identifier(scope, identifier)
                shown.append(_group(scope, await self._service.group(scope, name)))
        return shown

    async def put_retention_policy(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.set_retention(call.scope, request["logGroupName"], request["retentionInDays"])
        return {}

    async def delete_retention_policy(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.set_retention(call.scope, request["logGroupName"], None)
        return {}

    async def put_log_group_deletion_protection(self, call: "Call", request: dict[str, Any]) -> Answer:
        name = names.group_of_identifier(call.scope, request["logGroupIdentifier"])
        await self._service.set_protection(call.scope, name, request["deletionProtectionEnabled"])
        return {}

    # Tags...

    async def list_tags_for_resource(self, call: "Call", request: dict[str, Any]) -> Answer:
        group = await self._service.group(call.scope, _tagged(call.scope, request))
        return {"tags": dict(group.tags)}

    async def tag_resource(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.set_tags(call.scope, _tagged(call.scope, request), request["tags"])
        return {}

    async def untag_resource(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.remove_tags(call.scope, _tagged(call.scope, request), request["tagKeys"])
        return {}

    async def list_tags_log_group(self, call: "Call", request: dict[str, Any]) -> Answer:
        return {"tags": dict((await self._service.group(call.scope, request["logGroupName"])).tags)}

    async def tag_log_group(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.set_tags(call.scope, request["logGroupName"], request["tags"])
        return {}

    async def untag_log_group(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.remove_tags(call.scope, request["logGroupName"], request["tags"])
        return {}

    # Streams...

    async def create_log_stream(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.create_stream(call.scope, request["logGroupName"], request["logStreamName"])
        return {}

    async def delete_log_stream(self, call: "Call", request: dict[str, Any]) -> Answer:
        await self._service.delete_stream(call.scope, request["logGroupName"], request["logStreamName"])
        return {}

    async def describe_log_streams(self, call: "Call", request: dict[str, Any]) -> Answer:
        group = _group_name(call.scope, request)
        limit = request.get("limit", rules.PAGE_NAMES)
        streams = await self._streams(call.scope, group, request, limit + 1)
        page = streams[:limit]
        more = {"nextToken": _streams_token(page[-1])} if len(streams) > limit else {}
        return {"logStreams": [_stream(call.scope, group, stream) for stream in page], **more}

    async def _streams(self, scope: Scope, group: str, request: dict[str, Any], limit: int) -> Sequence[Stream]:
        prefix, token = request.get("logStreamNamePrefix", ""), request.get("nextToken", "")
        time, name = names.parse_opaque_token(token, int, str) if token else (0, "")
        descending = request.get("descending", False)
        if request.get("orderBy", "LogStreamName") == "LogStreamName":
            return await self._service.streams_by_name(
                scope, group, prefix=prefix, after=name, limit=limit, descending=descending
            )
        if prefix:
            raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        after = (time, name) if token else None
        return await self._service.streams_by_time(scope, group, after=after, limit=limit, descending=descending)

    # Events...

    async def put_log_events(self, call: "Call", request: dict[str, Any]) -> Answer:
        """The sequence token is accepted and ignored, as by AWS since 2023."""
        events = [LogEvent(event["timestamp"], event["message"]) for event in request["logEvents"]]
        group, stream = request["logGroupName"], request["logStreamName"]
        rejected = await self._service.put_events(call.scope, group, stream, events)
        info = {
            "tooNewLogEventStartIndex": rejected.too_new_start,
            "tooOldLogEventEndIndex": rejected.too_old_end,
            "expiredLogEventEndIndex": rejected.expired_end,
        }
        told = {name: index for name, index in info.items() if index is not None}
        answer: Answer = {"nextSequenceToken": _sequence_token(events[-1].timestamp)}
        return answer | ({"rejectedLogEventsInfo": told} if told else {})

    async def get_log_events(self, call: "Call", request: dict[str, Any]) -> Answer:
        query = EventsQuery(
            start=_time(request.get("startTime")),
            end=_time(request.get("endTime")),
            limit=request.get("limit", rules.PAGE_EVENTS),
            from_head=request.get("startFromHead", False),
            token=request.get("nextToken", ""),
        )
        group = _group_name(call.scope, request)
        page = await self._service.events(call.scope, group, request["logStreamName"], query)
        return {
            "events": [_event(event) for event in page.events],
            "nextForwardToken": page.forward_token,
            "nextBackwardToken": page.backward_token,
        }

    async def filter_log_events(self, call: "Call", request: dict[str, Any]) -> Answer:
        if "logStreamNames" in request and "logStreamNamePrefix" in request:
            raise InvalidParameter("Only one of logStreamNames and logStreamNamePrefix may be specified.")
        search = Search(
            span=_filter_span(request),
            limit=request.get("limit", rules.PAGE_EVENTS),
            streams=tuple(dict.fromkeys(request.get("logStreamNames", ()))),
            prefix=request.get("logStreamNamePrefix", ""),
            matches=compile_pattern(request.get("filterPattern", "")),
        )
        found = await self._service.search(call.scope, _group_name(call.scope, request), search)
        events = [
            {"logStreamName": event.stream, **_event(event), "eventId": names.event_id(event.position)}
            for event in found.events
        ]
        more = {"nextToken": names.opaque_token(*found.rest, search.span.forward)} if found.rest else {}
        # AWS has given an empty list for years: everything is searched in one order.
        return {"events": events, "searchedLogStreams": [], **more}


def _group_name(scope: Scope, request: dict[str, Any]) -> str:
    if ("logGroupName" in request) == ("logGroupIdentifier" in request):
        raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    if "logGroupName" in request:
        return str(request["logGroupName"])
    return names.group_of_identifier(scope, request["logGroupIdentifier"])


def _tagged(scope: Scope, request: dict[str, Any]) -> str:
    arn = request["resourceArn"]
    if not re.match("arn:[^:]+:logs:", arn):
        raise InvalidParameter(f"Invalid ARN: {arn}")
    return names.group_of_identifier(scope, arn)


def _filter_span(request: dict[str, Any]) -> Span:
    """Both ends are inclusive here; a token brings its direction."""
    start, end = _time(request.get("startTime")), _time(request.get("endTime"))
    forward, after = request.get("startFromHead", True), None
    if "nextToken" in request:
        timestamp, number, forward = names.parse_opaque_token(request["nextToken"], int, int, bool)
        after = Position(timestamp, number)
    elif not forward and start is not None and start < _DESCENDING_FROM_MS:
        raise InvalidParameter("startTime must be on or after January 1, 2024 when startFromHead is false.")
    return Span(start, None if end is None else end + 1, after, forward)


def _time(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else min(milliseconds, _LATEST)


def _sequence_token(number: int) -> str:
    return f"{number:056}"


def _streams_token(stream: Stream) -> str:
    return names.opaque_token(stream.last_event or 0, stream.name)


def _event(event: StoredEvent) -> Answer:
    return {"timestamp": event.position.timestamp, "message": event.message, "ingestionTime": event.ingested}


def _group(scope: Scope, group: Group) -> Answer:
    arn = names.group_arn(scope, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created,
        **({"retentionInDays": group.retention_days} if group.retention_days else {}),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": group.stored_bytes,
        **({"kmsKeyId": group.kms_key_id} if group.kms_key_id else {}),
        "logGroupClass": group.log_class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": group.protected,
    }


def _stream(scope: Scope, group: str, stream: Stream) -> Answer:
    shown: Answer = {"logStreamName": stream.name, "creationTime": stream.created}
    if stream.last_event is not None and stream.last_ingestion is not None:
        shown |= {
            "firstEventTimestamp": stream.first_event,
            "lastEventTimestamp": stream.last_event,
            "lastIngestionTime": stream.last_ingestion,
            "uploadSequenceToken": _sequence_token(stream.last_ingestion),
        }
        if stream.first_event is None:  # every event has outlived its retention
            del shown["firstEventTimestamp"]
    # AWS gives 0 for every stream since 2019.
    return shown | {"arn": names.stream_arn(scope, group, stream.name), "storedBytes": 0}
