"""What a passed call needs to be allowed: actions, on resources. Pure.

Source: the Service Authorization Reference, for the services that functions mostly use. What is not known here is
judged by its operation's name, on the ARN that the call names, or else on `*`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from pasture.domain.scope import Scope

Parameters = Mapping[str, Any]


class Needed(NamedTuple):
    action: str
    resource: str


def needed(service: str, operation: str, parameters: Parameters, scope: Scope, copied: str = "") -> Iterator[Needed]:
    """`service` as signatures have it; `copied` is what x-amz-copy-source says."""
    if service == "s3":
        yield from _of_s3(operation, parameters, scope, copied)
        return
    action = f"{service}:{_ACTIONS.get((service, operation), operation)}"
    resources = list(_resources(service, operation, parameters, scope))
    for resource in resources or ["*"]:
        yield Needed(action, resource)


# S3...

_S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}


def _of_s3(operation: str, parameters: Parameters, scope: Scope, copied: str) -> Iterator[Needed]:
    base = f"arn:{scope.partition}:s3:::"
    bucket, key = parameters.get("Bucket", ""), parameters.get("Key", "")
    if operation == "DeleteObjects":
        key = "*"  # which ones the body says, and nobody waits for that
    where = f"{base}{bucket}/{key}" if key else f"{base}{bucket}" if bucket else "*"
    yield Needed(f"s3:{_S3_ACTIONS.get(operation, operation)}", where)
    if copied:
        yield Needed("s3:GetObject", base + unquote(copied.partition("?")[0]).lstrip("/"))


# Others...

_ACTIONS = {
    ("sqs", "SendMessageBatch"): "SendMessage",
    ("sqs", "DeleteMessageBatch"): "DeleteMessage",
    ("sqs", "ChangeMessageVisibilityBatch"): "ChangeMessageVisibility",
    ("sns", "PublishBatch"): "Publish",
    ("secretsmanager", "BatchGetSecretValue"): "GetSecretValue",
}

# Members that name a resource, and what its ARN ends with. The first that is there is it.
_NAMED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sns": (("Name", "{}"),),
    "dynamodb": (("TableName", "table/{}"),),
    "kinesis": (("StreamName", "stream/{}"),),
    # The ending of a secret's ARN is random; policies leave it open.
    "secretsmanager": (("SecretId", "secret:{}-000000"), ("Name", "secret:{}-000000")),
    "ssm": (("Name", "parameter/{}"),),
    "states": (("name", "stateMachine:{}"),),
    "firehose": (("DeliveryStreamName", "deliverystream/{}"),),
}


def _resources(service: str, operation: str, parameters: Parameters, scope: Scope) -> Iterable[str]:
    if service == "sqs":
        return _queues(parameters, scope)
    if service == "events":
        return _buses(operation, parameters, scope)
    tables = _tables(parameters) if service == "dynamodb" else ()
    if tables:
        return [_full(scope, "dynamodb", "table/{}", name) for name in tables]
    if service == "ssm" and isinstance(parameters.get("Names"), list):
        return [_full(scope, "ssm", "parameter/{}", str(name).lstrip("/")) for name in parameters["Names"]]
    for member, ending in _NAMED.get(service, ()):
        name = parameters.get(member)
        if isinstance(name, str) and name:
            return [_full(scope, service, ending, name.lstrip("/") if service == "ssm" else name)]
    return [
        value
        for member, value in parameters.items()
        if member.lower().endswith("arn") and isinstance(value, str) and value.startswith("arn:")
    ][:1]


def _queues(parameters: Parameters, scope: Scope) -> Iterator[str]:
    url = parameters.get("QueueUrl")
    if isinstance(url, str) and url.count("/") >= 2:
        account, name = url.rstrip("/").rsplit("/", 2)[-2:]
        yield f"arn:{scope.partition}:sqs:{scope.region}:{account}:{name}"
    elif parameters.get("QueueName"):
        yield scope.arn("sqs", str(parameters["QueueName"]))


def _buses(operation: str, parameters: Parameters, scope: Scope) -> Iterator[str]:
    if operation == "PutEvents":
        entries = [entry for entry in parameters.get("Entries") or () if isinstance(entry, Mapping)]
        for name in sorted({str(entry.get("EventBusName") or "default") for entry in entries}):
            yield _full(scope, "events", "event-bus/{}", name)
        return
    bus, rule = parameters.get("EventBusName"), parameters.get("Rule") or parameters.get("Name")
    if "Rule" in operation or "Targets" in operation:
        if rule:
            within = f"{str(bus).rpartition('/')[2]}/" if bus and bus != "default" else ""
            yield scope.arn("events", f"rule/{within}{rule}")
    elif bus or rule:
        yield _full(scope, "events", "event-bus/{}", str(bus or rule))


def _tables(parameters: Parameters) -> list[str]:
    """Of calls that are for many."""
    found = set()
    items = parameters.get("RequestItems")
    if isinstance(items, Mapping):
        found |= set(items)
    for transaction in parameters.get("TransactItems") or ():
        if isinstance(transaction, Mapping):
            found |= {
                str(it["TableName"]) for it in transaction.values() if isinstance(it, Mapping) and "TableName" in it
            }
    return sorted(found)


def _full(scope: Scope, service: str, ending: str, name: str) -> str:
    return name if name.startswith("arn:") else scope.arn(service, ending.format(name))
