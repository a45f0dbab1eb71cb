"""Where requests to function URLs come in: whose URL it is, who may call it, and what comes back."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pasture.api.auth.authenticator import Authenticates
from pasture.api.auth.authorisation import Authorizer, ResourcePolicy
from pasture.api.call import Authenticated, Call, Principal
from pasture.api.function_urls import cors
from pasture.api.function_urls.answer import Answer, Malformed
from pasture.api.function_urls.event import Asked, event_of
from pasture.api.function_urls.streaming import buffered, streamed
from pasture.api.invoke_operations import Invoke, Resolve, new_trace
from pasture.api.streamed_answer import StreamedAnswer
from pasture.api.wire.restjson import rest_json_error
from pasture.domain.errors import AccessDenied, ApiError, RequestTooLarge
from pasture.domain.function import Function
from pasture.domain.function_settings import FunctionUrl
from pasture.domain.identifiers import FunctionRef
from pasture.domain.invocation import Invocation
from pasture.domain.limits import Limits
from pasture.functions.urls import PREFIX, id_in_host, id_in_target
from pasture.http.message import Request, Response
from pasture.invoke import lineage
from pasture.kit.clock import Clock
from pasture.kit.random_ids import random_uuid

_log = logging.getLogger(__name__)

Find = Callable[[str], Awaitable[tuple[Function, str, FunctionUrl] | None]]
"""`functions.url_index.UrlIndex.find`."""

_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """A URL that is there, and a request to it."""

    function: Function
    qualifier: str
    url: FunctionUrl
    request: Request
    target: str
    """As the function sees it."""
    request_id: str

    @property
    def arn(self) -> str:
        return self.function.scope.function_arn(self.function.name, self.qualifier or None)


class FunctionUrls:
    def __init__(
        self,
        find: Find,
        resolve: Resolve,
        invoke: Invoke,
        authenticator: Authenticates,
        authorizer: Authorizer,
        policy_of: ResourcePolicy,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._find = find
        self._resolve = resolve
        self._invoke = invoke
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._policy_of = policy_of
        self._limits = limits
        self._clock = clock

    def recognise(self, request: Request) -> tuple[str, str] | None:
        """The identifier of the URL that is meant, and the target that its function sees; None when none is."""
        if request.target.startswith(PREFIX):
            return id_in_target(request.target)
        host = request.headers.first.get("host", "")
        if ".lambda-url." in host and (identifier := id_in_host(host)) is not None:
            return identifier.lower(), request.target
        return None

    async def answer(self, request: Request, identifier: str, target: str) -> Response:
        request_id = random_uuid()
        found = await self._find(identifier)
        if found is None:
            return _refused(AccessDenied(_FORBIDDEN), request_id)
        place = _Place(*found, request, target, request_id)
        settings, headers = place.url.cors, request.headers.first
        if settings is not None and cors.is_preflight(request.method, headers):
            return Response(200, {"x-amzn-RequestId": request_id, **cors.preflight(settings, headers)})
        try:
            response = await self._served(place)
        except ApiError as error:
            response = _refused(error, request_id)
        if settings is not None:
            response.headers = {
                **{name: value for name, value in response.headers.items() if name not in cors.HEADERS},
                **cors.answered(settings, headers),
            }
        return response

    async def _served(self, place: _Place) -> Response:
        who = await self._admitted(place)
        trace = place.request.headers.first.get("x-amzn-trace-id") or new_trace(self._clock.now())
        trace, _ = lineage.counted(trace, place.arn)  # AWS looks for no loops through URLs
        invocation = Invocation(
            request_id=place.request_id,
            function_arn=place.arn,
            payload=self._event(place, who, trace),
            trace_id=trace,
            invocation_id=random_uuid(),
        )
        version = await self._resolve(place.function.scope, FunctionRef(place.function.name, place.qualifier or None))
        ours = {"x-amzn-RequestId": place.request_id, "X-Amzn-Trace-Id": trace}
        try:
            if place.url.invoke_mode == "RESPONSE_STREAM":
                coming = StreamedAnswer()
                await coming.begin(self._invoke(version, replace(invocation, sink=coming)))
                begun = await streamed(coming)
                if isinstance(begun, tuple):
                    return _response(*begun, ours)
                outcome = begun
            else:
                outcome = await self._invoke(version, invocation)
            if outcome.failed:
                return _bad_gateway(ours)
            answer = buffered(outcome)
        except Malformed as error:
            _log.info("%s: the function's response cannot be answered: %s", place.arn, error)
            return _bad_gateway(ours)
        return _response(answer, answer.body, ours)

    def _event(self, place: _Place, who: Authenticated | None, trace: str) -> bytes:
        request, (path, _, query) = place.request, place.target.partition("?")
        address = request.peer.rpartition(":")[0].removeprefix("::ffff:").strip("[]")
        host = request.headers.first.get("host", "")
        event = event_of(
            Asked(
                url_id=place.url.id,
                host=host,
                method=request.method,
                path=path,
                query=query,
                headers=_forwarded(request, address, host, trace),
                body=request.body,
                source_ip=address,
                request_id=place.request_id,
                at=self._clock.now(),
                account=place.function.scope.account,
                iam=_iam(who.principal) if who is not None else None,
            )
        )
        if len(event) > self._limits.payload_bytes:
            limit = self._limits.payload_bytes
            raise RequestTooLarge(f"Request must be smaller than {limit} bytes for the InvokeFunction operation")
        return event

    # Who may call it...

    async def _admitted(self, place: _Place) -> Authenticated | None:
        """The one who signed, None where nobody has to. Raises what is answered to who may not call it."""
        if place.url.auth_type == "NONE":
            await self._authorise(place, Principal("", "", "", "", policies=()), place.request)
            return None
        who = await self._authenticator.authenticate(place.request)
        if who.service not in {None, "lambda"}:
            raise AccessDenied("Credential should be scoped to correct service: 'lambda'.")
        await self._authorise(place, who.principal, place.request)
        return who

    async def _authorise(self, place: _Place, principal: Principal, request: Request) -> None:
        """Both permissions that AWS asks since October 2025."""
        if self._authorizer.open_door:
            return
        policy = await self._policy_of(place.arn)
        call = Call(place.request_id, "InvokeFunctionUrl", place.function.scope, principal, request, "")
        keys: Mapping[str, tuple[str, ...]] = {
            "lambda:functionurlauthtype": (place.url.auth_type,),
            "lambda:invokedviafunctionurl": ("true",),
            "lambda:functionarn": (place.arn,),
        }
        context = {**self._authorizer.context(call), **keys}
        for action in ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction"):
            if not self._authorizer.decide(principal, action, place.arn, context, policy).allowed:
                raise AccessDenied(_FORBIDDEN)


def _forwarded(request: Request, address: str, host: str, trace: str) -> list[tuple[str, str]]:
    """What the client sent, and what AWS's front adds to it."""
    added = {
        "x-forwarded-proto": request.headers.first.get("x-forwarded-proto", "http"),
        "x-forwarded-port": host.rpartition(":")[2] if ":" in host else "80",
        "x-amzn-trace-id": trace,
    }
    came = [(name, value) for name, value in request.headers.fields if name not in added and name not in _HOP]
    before = [value for name, value in came if name == "x-forwarded-for"]
    rest = [(name, value) for name, value in came if name != "x-forwarded-for"]
    return [*rest, *added.items(), ("x-forwarded-for", ", ".join([*before, address]))]


_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"})


def _iam(principal: Principal) -> dict[str, Any]:
    return {
        "accessKey": principal.access_key_id,
        "accountId": principal.account,
        "callerId": principal.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": principal.arn,
        "userId": principal.user_id,
    }


def _response(answer: Answer, body: bytes | AsyncIterator[bytes], ours: Mapping[str, str]) -> Response:
    headers = {**answer.headers, **ours}
    return Response(answer.status, headers, body, also=[("set-cookie", cookie) for cookie in answer.cookies])


def _bad_gateway(ours: Mapping[str, str]) -> Response:
    return Response(502, {"content-type": "application/json", **ours}, b"Internal Server Error")


def _refused(error: ApiError, request_id: str) -> Response:
    """AWS writes `Message` here, large."""
    response = rest_json_error(error, request_id)
    if isinstance(error, AccessDenied):
        response.body = b'{"Message":"%b"}' % error.message.encode()
    return response
