"""The Runtime API of one life of a runtime: its calls come in, the environment hears of them as signals."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pasture.domain.invocation import Invocation, Outcome, ResponseSink, Status
from pasture.http.message import BodyStream, Headers, Request, Response
from pasture.kit.errands import Notice
from pasture.runtime_api.session import Poll, Refusal, RuntimeState, Session
from pasture.runtime_api.signals import Answered, InitFailed, Ready, RestoreFailed, Signal, Snapshotted
from pasture.runtime_api.streaming import TOO_LARGE, Collected, error_payload, pump

RUNTIME = "/2018-06-01/runtime/"
_PING = "/2018-06-01/ping"
_INIT_ERROR = "/2018-06-01/runtime/init/error"
_RESTORE = "/2018-06-01/runtime/restore/"
_INVOCATION = "/2018-06-01/runtime/invocation/"
_NEXT = "/2018-06-01/runtime/invocation/next"
_JSON = {"Content-Type": "application/json"}
MODE_HEADER = "lambda-runtime-function-response-mode"
# RAPID normalises what a runtime claims (rapidcore, `fatalerror`).
_KNOWN_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")

Notify = Callable[[Signal], None]


class RuntimeApi:
    def __init__(self, notify: Notify, payload_bytes: int, *, snap_start: bool = False) -> None:
        self._notify = notify
        self._snap_start = snap_start
        self._restores: list[Notice[Response]] = []
        self._payload_bytes = payload_bytes
        self._sink: ResponseSink | None = None
        self._session = Session()
        self._loop = asyncio.get_running_loop()
        self._polls: list[Notice[Response]] = []
        """Those that wait for an event. A runtime may call again without having been answered; all get the same."""
        self._event: Response | None = None

    def __repr__(self) -> str:
        return f"<RuntimeApi {self._session!r}>"

    # The platform's side...

    def give(self, invocation: Invocation, deadline_ms: int) -> None:
        """Hand the event to the runtime: to the poll that waits, or to the one that comes."""
        self._session.is_given(invocation.request_id, invocation.invocation_id)
        self._event = _event(invocation, deadline_ms)
        self._sink = invocation.sink
        polls, self._polls = self._polls, []
        for poll in polls:
            poll.tell(self._event)

    @property
    def waits_for_restore(self) -> bool:
        return self._session.state is RuntimeState.RESTORE_READY

    def restore(self) -> None:
        """Let a runtime that waits for it go on."""
        self._session.is_restored()
        waiting, self._restores = self._restores, []
        for notice in waiting:
            notice.tell(Response(200, {"Content-Type": "application/json"}, b""))

    # The runtime's side...

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        try:
            if request.raw_path == _NEXT:
                return self._next(request)
            return self._other(request)
        except Refusal as refusal:
            return error_response(refusal.status, refusal.error_type, refusal.message)

    def too_large(self, _method: str, target: str) -> Response:
        """The body of a call is over the limit: the invocation ends with AWS's error, the runtime is told."""
        request_id, action = _split(target.partition("?")[0])
        if action == "response":
            message = f"Response payload size exceeded maximum allowed payload size ({self._payload_bytes} bytes)."
            try:
                self._session.responds(request_id, "")
            except Refusal as refusal:
                return error_response(refusal.status, refusal.error_type, refusal.message)
            payload = error_payload("Function.ResponseSizeTooLarge", message)
            self._notify(Answered(Outcome(Status.ERROR, payload, "Function.ResponseSizeTooLarge")))
        return error_response(
            413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({self._payload_bytes} bytes)."
        )

    def _next(self, request: Request) -> Response | Notice[Response]:
        if request.method != "GET":
            return _not_allowed()
        poll = self._session.polls()
        if poll is not Poll.AGAIN:
            self._event = None
            # Who hears of it may give the next event at once.
            self._notify(Ready())
        if self._event is not None:
            return self._event
        waiting: Notice[Response] = Notice(loop=self._loop)
        self._polls = [poll for poll in self._polls if not poll.done()]
        self._polls.append(waiting)
        request.on_disconnect.append(waiting.cancel)
        return waiting

    def _other(self, request: Request) -> Response | Awaitable[Response]:
        target = request.raw_path
        if target == _PING:
            return Response(200, {"Content-Type": "text/plain"}, b"pong")
        if self._snap_start and target.startswith(_RESTORE):
            return self._restore(request, target.removeprefix(_RESTORE))
        request_id, action = _split(target)
        if target != _INIT_ERROR and action not in {"response", "error"}:
            return _unknown()
        if request.method != "POST":
            return _not_allowed()
        if target == _INIT_ERROR:
            self._session.fails_to_initialise()
            self._notify(InitFailed(_failure(request, "Runtime.Unknown")))
            return _accepted()
        if action == "response":
            return self._response(request, request_id)
        self._session.fails(request_id, request.headers.get("lambda-runtime-invocation-id", ""))
        self._notify(Answered(_failure(request, "Function.Unknown")))
        return _accepted()

    def _restore(self, request: Request, action: str) -> Response | Notice[Response]:
        if request.method != {"next": "GET", "error": "POST"}.get(action, ""):
            return _not_allowed() if action in {"next", "error"} else _unknown()
        if action == "error":
            self._session.fails_to_restore()
            self._notify(RestoreFailed(_failure(request, "Runtime.AfterRestoreError")))
            return _accepted()
        waiting: Notice[Response] = Notice(loop=self._loop)
        if self._session.waits_for_restore():
            self._notify(Snapshotted())
        self._restores.append(waiting)
        request.on_disconnect.append(waiting.cancel)
        return waiting

    def _response(self, request: Request, request_id: str) -> Response | Awaitable[Response]:
        mode = request.headers.get(MODE_HEADER, "")
        if mode.lower() not in {"", "buffered", "streaming"}:
            return self._invalid_mode(request_id)
        self._session.responds(request_id, request.headers.get("lambda-runtime-invocation-id", ""))
        if request.stream is not None:
            return self._streamed(request, request.stream)
        content_type = request.headers.get("content-type", "application/json")
        self._notify(Answered(Outcome(Status.SUCCESS, request.body, content_type=content_type)))
        return _accepted()

    def _invalid_mode(self, request_id: str) -> Response:
        """RAPID ends the invocation: a runtime that says this cannot be understood."""
        self._session.responds(request_id, "")
        error_type = "Runtime.InvalidResponseModeHeader"
        message = "Invalid response mode header"
        self._notify(Answered(Outcome(Status.ERROR, error_payload(error_type, message), error_type)))
        return error_response(400, "InvalidFunctionResponseMode", message)

    async def _streamed(self, request: Request, stream: BodyStream) -> Response:
        """The invocation's outcome is known at the end of the stream."""
        content_type = request.headers.get("content-type", "application/octet-stream")
        sink = self._sink or Collected(self._payload_bytes)
        outcome = await pump(stream, sink, content_type)
        self._notify(Answered(outcome))
        if outcome.error_type == TOO_LARGE:
            return error_response(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size.")
        return _accepted()


def streams(target: str, headers: Headers) -> bool:
    """Whether this call brings a response in streaming mode."""
    return target.endswith("/response") and headers.get(MODE_HEADER, "").lower() == "streaming"


def error_response(status: int, error_type: str, message: str) -> Response:
    body: dict[str, Any] = {"errorMessage": message, "errorType": error_type}
    return Response(status, _JSON, msgspec.json.encode(body))


def _event(invocation: Invocation, deadline_ms: int) -> Response:
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
    }
    if invocation.invocation_id:
        headers["Lambda-Runtime-Invocation-Id"] = invocation.invocation_id
    if invocation.tenant_id:
        headers["Lambda-Runtime-Aws-Tenant-Id"] = invocation.tenant_id
    if invocation.trace_id:
        headers["Lambda-Runtime-Trace-Id"] = invocation.trace_id
    if invocation.client_context:
        # Headers are bytes, and RAPID sends the text as UTF-8.
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context.encode().decode("latin-1")
    return Response(200, headers, invocation.payload)


def _failure(request: Request, default: str) -> Outcome:
    claimed = request.headers.get("lambda-runtime-function-error-type", "")
    error_type = claimed if _KNOWN_ERROR_TYPE.fullmatch(claimed) else default
    return Outcome(Status.ERROR, request.body, error_type)


def _split(target: str) -> tuple[str, str]:
    if not target.startswith(_INVOCATION):
        return "", ""
    request_id, _, action = target[len(_INVOCATION) :].partition("/")
    return request_id, action


def _accepted() -> Response:
    return Response(202, _JSON, b'{"status":"OK"}\n')


def _unknown() -> Response:
    return Response(404, {"Content-Type": "text/plain"}, b"404 page not found\n")


def _not_allowed() -> Response:
    return Response(405, {"Content-Type": "text/plain"}, b"405 method not allowed\n")
