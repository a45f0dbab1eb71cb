"""What the embedded services do instead of running functions themselves: hand their events to the server.

moto would look for the functions of S3's notifications and SNS's subscriptions in a Lambda of its own, and start
containers for them. Its calls lead here instead, and come back when the server has kept the event, or refused it.
Events are whole where moto's leave something out, and come where moto forgets them: delete markers, and the deletion
of one version of several.
"""

import json
import os
import sys
import threading
from concurrent.futures import Future
from typing import Any

from pasture.neighbours.embedded import push_events

_SECONDS = 60.0
_S3 = "s3.amazonaws.com"
_SNS = "sns.amazonaws.com"


class Server:
    """The other end of the line. Mutable state: who waits for which answer."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "rb")
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[str]] = {}
        self._last = 0
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, kind: str, service: str, function: str, source: str, account: str, event: object = None) -> str:
        """Why it cannot be done; nothing when it is done. `kind`: `push` an event, or `check` whether one may be."""
        answer: Future[str] = Future()
        with self._lock:
            self._last += 1
            number = self._last
            self._waiting[number] = answer
            said = {
                "id": number, "kind": kind, "service": service, "function": function, "source": source,
                "account": account, "event": event, "trace": _trace(),
            }  # fmt: skip
            _write(self._descriptor, json.dumps(said).encode() + b"\n")
        try:
            return answer.result(_SECONDS)
        except TimeoutError:
            return "The server has not answered."
        finally:
            self._waiting.pop(number, None)

    def push(self, service: str, function: str, source: str, account: str, event: object) -> None:
        why = self.ask("push", service, function, source, account, event)
        if why:
            sys.stderr.write(f"{function} has not got an event of {source}: {why}\n")

    def _read(self) -> None:
        for line in self._stream:
            told = json.loads(line)
            if (waiting := self._waiting.get(told["id"])) is not None:
                waiting.set_result(told["error"])


def install(descriptor: int) -> None:
    """Before the first call. The modules of S3 and SNS are loaded."""
    server = Server(descriptor)
    _install_s3(server)
    _install_s3_deletions()
    _install_sns(server)


def _install_s3(server: Server) -> None:
    from moto.s3 import notifications
    from moto.s3.models import FakeBucket

    def invoke(account_id: str, event_body: Any, fn_arn: str, region_name: str) -> None:  # noqa: ARG001 - moto's
        bucket = event_body["Records"][0]["s3"]["bucket"]["arn"]
        server.push(_S3, fn_arn, bucket, account_id, event_body)

    def event_of(event_name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, Any]:
        return push_events.of_s3(str.__str__(event_name), bucket, key, notification_id, _trace_request())

    configure = FakeBucket.set_notification_configuration

    def set_configuration(bucket: Any, notification_config: dict[str, Any] | None) -> None:
        before = bucket.notification_configuration
        try:
            configure(bucket, notification_config)
            _check(server, bucket)
        except Exception:
            bucket.notification_configuration = before
            raise

    vars(notifications)["_invoke_awslambda"] = invoke
    vars(notifications)["_get_s3_event"] = event_of
    FakeBucket.set_notification_configuration = set_configuration  # type: ignore[method-assign, assignment]


def _check(server: Server, bucket: Any) -> None:
    """The functions that the bucket would notify."""
    from moto.s3.exceptions import S3ClientError

    configuration = bucket.notification_configuration
    if configuration is None or _header("x-amz-skip-destination-validation").lower() == "true":
        return
    for function in configuration.cloud_function:
        if server.ask("check", _S3, function.arn, bucket.arn, bucket.account_id):
            raise S3ClientError("InvalidArgument", "Unable to validate the following destination configurations")


def _install_s3_deletions() -> None:
    from moto.s3 import notifications
    from moto.s3.models import S3Backend

    kinds = notifications.S3NotificationEvent
    delete, mark = S3Backend.delete_object, S3Backend._set_delete_marker  # noqa: SLF001 - moto has no other place

    def delete_object(
        self: Any, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        bucket = self.get_bucket(bucket_name)
        found = [key for key in bucket.keys.getlist(key_name, []) if str(key.version_id) == str(version_id)]
        done, more = delete(self, bucket_name, key_name, version_id=version_id, bypass=bypass)
        if done and found and bucket.keys.getlist(key_name, []):
            notifications.send_event(
                self.account_id, kinds.OBJECT_REMOVED_DELETE_EVENT, bucket, push_events.Marked(key_name, found[0])
            )
        return done, more

    def set_delete_marker(self: Any, bucket_name: str, key_name: str) -> Any:
        marker = mark(self, bucket_name, key_name)
        bucket = self.get_bucket(bucket_name)
        notifications.send_event(
            self.account_id,
            kinds.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT,
            bucket,
            push_events.Marked(key_name, marker),
        )
        return marker

    S3Backend.delete_object = delete_object  # type: ignore[method-assign]
    S3Backend._set_delete_marker = set_delete_marker  # type: ignore[method-assign]  # noqa: SLF001 - likewise


def _install_sns(server: Server) -> None:
    from moto.sns.models import Subscription

    publish = Subscription.publish
    signer = push_events.Signer()

    def published(
        self: Any,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        message_structure: str | None = None,
    ) -> None:
        if self.protocol != "lambda":
            publish(
                self, message, message_id, subject, message_attributes, group_id, deduplication_id, message_structure
            )
            return
        matcher = self._filter_policy_matcher
        if matcher is not None and not matcher.matches(message_attributes, message):
            return
        if message_structure == "json":
            message = self._parse_message_structure(message, self.protocol)
        event = push_events.of_sns(self, message, message_id, subject, message_attributes or {}, signer)
        server.push(_SNS, self.endpoint, self.topic.arn, self.account_id, event)

    Subscription.publish = published  # type: ignore[method-assign]


# The call that is being answered...


def _header(name: str) -> str:
    import flask

    return str(flask.request.headers.get(name, "")) if flask.has_request_context() else ""


def _trace() -> str:
    return _header("X-Amzn-Trace-Id")


def _trace_request() -> push_events.Asked:
    import flask

    if not flask.has_request_context():
        return push_events.Asked("", "")
    return push_events.Asked(flask.request.headers.get("X-Forwarded-For", ""), _header("x-amz-request-id"))


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
