"""How far each operation of each service is served: what `docs/operations.md` says.

`python -m pasture.api.served > docs/operations.md` writes the page. An operation that no class here has a method for
is refused. A class that only keeps what it is told says so in a class attribute, `kept`, beside the code that will one
day do more; one that serves an operation in part says what is missing in `partly`, by the operation's name.
"""

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from botocore import xform_name

from pasture.api.account_operations import AccountOperations
from pasture.api.aliases_operations import AliasesOperations
from pasture.api.autoscaling_operations import AutoscalingOperations
from pasture.api.code_signing_operations import CodeSigningOperations
from pasture.api.concurrency_operations import ConcurrencyOperations
from pasture.api.event_invoke_operations import EventInvokeOperations
from pasture.api.event_source_mapping_operations import EventSourceMappingOperations
from pasture.api.eventbridge_operations import EventbridgeOperations
from pasture.api.functions_operations import FunctionsOperations
from pasture.api.invoke_operations import InvokeOperations
from pasture.api.layers_operations import LayersOperations
from pasture.api.log_subscription_operations import LogSubscriptionOperations
from pasture.api.logs_operations import LogsOperations
from pasture.api.metrics_operations import MetricsOperations
from pasture.api.permissions_operations import PermissionsOperations
from pasture.api.provisioned_operations import ProvisionedOperations
from pasture.api.recursion_operations import RecursionOperations
from pasture.api.runtime_management_operations import RuntimeManagementOperations
from pasture.api.scheduler_operations import SchedulerOperations
from pasture.api.sts import AssumingRoles, CallerIdentity
from pasture.api.tags_operations import TagsOperations
from pasture.api.urls_operations import UrlsOperations
from pasture.api.versions_operations import VersionsOperations
from pasture.api.wire.service import load_model

SERVED: Mapping[str, tuple[type, ...]] = {
    "lambda": (
        InvokeOperations,
        FunctionsOperations,
        VersionsOperations,
        AliasesOperations,
        LayersOperations,
        AccountOperations,
        TagsOperations,
        PermissionsOperations,
        ConcurrencyOperations,
        ProvisionedOperations,
        CodeSigningOperations,
        EventInvokeOperations,
        RecursionOperations,
        RuntimeManagementOperations,
        UrlsOperations,
        EventSourceMappingOperations,
    ),
    "logs": (LogsOperations, LogSubscriptionOperations),
    "application-autoscaling": (AutoscalingOperations,),
    "cloudwatch": (MetricsOperations,),
    "events": (EventbridgeOperations,),
    "scheduler": (SchedulerOperations,),
    "sts": (CallerIdentity, AssumingRoles),
}

# Why what is refused is refused, by what its name has in it; the first that fits counts.
_REFUSED: Mapping[str, Mapping[str, str]] = {
    "lambda": {
        "CapacityProvider": "managed instances are not built",
        "FunctionScalingConfig": "managed instances are not built",
        "Durable": "durable executions are not built",
    },
    "application-autoscaling": {
        "Tag": "tags of scalable targets are not built",
        "Predictive": "predictive scaling is not built",
    },
    "logs": {
        "Query": "Logs Insights is not built",
        "Queries": "Logs Insights is not built",
        "MetricFilter": "metric filters are not built",
        "ExportTask": "exports are not built",
        "ImportTask": "imports are not built",
        "Import": "imports are not built",
        "Anomal": "anomaly detection is not built",
        "Deliver": "log delivery is not built",
    },
    "events": {
        "Archive": "archives are not built",
        "Replay": "archives are not built",
        "ApiDestination": "API destinations are not built",
        "Connection": "API destinations are not built",
        "Endpoint": "global endpoints are not built",
        "Partner": "event sources of partners are not built",
        "EventSource": "event sources of partners are not built",
        "Permission": "policies of event buses are not built",
    },
    "cloudwatch": {
        "Alarm": "alarms are not built",
        "Dashboard": "dashboards are not built",
        "AnomalyDetector": "anomaly detection is not built",
        "InsightRule": "Contributor Insights is not built",
        "MetricStream": "metric streams are not built",
    },
}


class State(StrEnum):
    COMPLETE = "complete"
    PARTLY = "partly"
    KEPT = "kept"
    REFUSED = "refused"


class Entry(NamedTuple):
    operation: str
    state: State
    remark: str = ""


def entries(service: str) -> Iterator[Entry]:
    """Of every operation that the service's model has, in order of name."""
    for operation in sorted(load_model(service).operation_names):
        yield _entry(service, operation)


def _entry(service: str, operation: str) -> Entry:
    method = xform_name(operation)
    holder = next((holder for holder in SERVED[service] if hasattr(holder, method)), None)
    if holder is None:
        return Entry(operation, State.REFUSED, _why_not(service, operation))
    if remark := getattr(holder, "partly", {}).get(operation):
        return Entry(operation, State.PARTLY, remark)
    if remark := getattr(holder, "kept", ""):
        return Entry(operation, State.KEPT, remark)
    return Entry(operation, State.COMPLETE)


def _why_not(service: str, operation: str) -> str:
    return next((why for part, why in _REFUSED.get(service, {}).items() if part in operation), "not built")


_HEAD = """\
# Operations

Every operation of the services that Pasture answers for, and how far it is served. Tests hold this page to the code and
to a real server; `python -m pasture.api.served > docs/operations.md` writes it anew.

- **complete**: as on AWS, but for what [differences.md](differences.md) says;
- **partly**: some of what AWS takes is refused, by name;
- **kept**: checked, kept and shown as on AWS, and without effect yet;
- **refused**: answers `501 NotImplementedException`, naming the operation.
"""


def page() -> str:
    return _HEAD + "".join(_section(service) for service in SERVED)


def _section(service: str) -> str:
    found = list(entries(service))
    counts = [f"{n} {state}" for state in State if (n := sum(entry.state is state for entry in found))]
    name = load_model(service).metadata["serviceFullName"]
    rows = [f"| {entry.operation} | {entry.state} | {entry.remark} |" for entry in found]
    head = [
        "",
        f"## {name}",
        "",
        f"{len(found)} operations: {', '.join(counts)}.",
        "",
        "| operation | state | remark |",
    ]
    return "\n".join([*head, "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
