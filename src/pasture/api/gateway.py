"""The front door: who is calling which service, and whatever happens an answer in that service's form."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from pasture.api.auth.authenticator import Authenticates
from pasture.api.call import Authenticated
from pasture.api.function_urls.door import FunctionUrls
from pasture.api.passing.claims import S3, streams_to_s3
from pasture.api.passing.passing import Passing, UnknownService
from pasture.api.passing.refusals import refusal
from pasture.api.passing.uploads import drained
from pasture.api.wire.awsjson import aws_json_error
from pasture.api.wire.awsquery import aws_query_error, read_form
from pasture.api.wire.bodies import body_limit, too_large_error
from pasture.api.wire.restjson import rest_json_error
from pasture.api.wire.rpccbor import cbor_error, target_prefix
from pasture.api.wire.service import Service, internal_error
from pasture.domain.errors import ApiError, UnknownOperation
from pasture.http.message import Headers, Request, Response
from pasture.kit.random_ids import random_uuid

_log = logging.getLogger(__name__)

PlainHandler = Callable[[Request], Awaitable[Response]]

# Every path of Lambda begins with the date of a feature.
_LAMBDA_PATH = re.compile(r"/20\d\d-\d\d-\d\d/")
_FORM = "application/x-www-form-urlencoded"


class Gateway:
    """`plain` maps path prefixes to what is served there without a signature; the longest that fits serves."""

    def __init__(
        self,
        services: Mapping[str, Service],
        authenticator: Authenticates,
        plain: Mapping[str, PlainHandler] | None = None,
        *,
        urls: FunctionUrls | None = None,
        passing: Passing | None = None,
        new_request_id: Callable[[], str] = random_uuid,
    ) -> None:
        self._urls = urls
        self._passing = passing
        self._services = dict(services)
        self._authenticator = authenticator
        self._plain = sorted((plain or {}).items(), key=lambda item: -len(item[0]))
        self._new_request_id = new_request_id
        self._by_target = {s.target_prefix: s for s in services.values() if s.target_prefix}

    async def __call__(self, request: Request) -> Response:
        if self._urls is not None and (place := self._urls.recognise(request)) is not None:
            return await self._urls.answer(request, *place)
        # What is streamed is for S3, where a bucket may be called as a page is.
        for prefix, handler in self._plain if request.stream is None else ():
            if request.target.startswith(prefix):
                return await _serve_plain(handler, request, self._new_request_id())
        return await self.signed(self._authenticator, request)

    async def signed(self, authenticator: Authenticates, request: Request) -> Response:
        """Calls alone: no page, link or function URL."""
        request_id = self._new_request_id()
        service = None
        try:
            service = self._guess(request)
            who = await authenticator.authenticate(request)
            if self._passing is not None and who.service is not None and who.service not in self._services:
                return await self._passing.answer(request, request_id, who, base_url(request))
            service = self._chosen(request, service, who)
        except ApiError as error:
            refused = _refuse(request, service, error, request_id)
        except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told that it is internal
            _log.exception("%s %s: cannot tell who calls (request %s)", request.method, request.raw_path, request_id)
            refused = _refuse(request, service, internal_error(request_id), request_id)
        else:
            return await service.answer(request, request_id, who, base_url(request))
        if request.stream is not None:
            await drained(request.stream)
        return refused

    def streams(self, target: str, headers: Headers) -> bool:
        """For the HTTP server: whether a body is handed over as it comes."""
        return self._passing is not None and streams_to_s3(target, headers)

    def too_large(self, method: str, target: str) -> Response:
        """For the HTTP server: the answer to a body over `body_limit`."""
        return too_large(method, target, self._new_request_id())

    def _chosen(self, request: Request, guess: Service | None, who: Authenticated) -> Service:
        """The service that the signature is for; without one, what the request looks like."""
        chosen = guess if who.service is None else self._services.get(who.service)
        if chosen is not None:
            return chosen
        if who.service is None:
            raise UnknownOperation(f"No operation answers {request.method} {request.raw_path[:256]}.")
        served = ", ".join(sorted(self._services)) or "none"
        raise UnknownService(
            f"The request is signed for the service '{who.service[:64]}', and this Pasture serves {served}."
        )

    def _guess(self, request: Request) -> Service | None:
        """What the request looks like, before a signature says so."""
        if _LAMBDA_PATH.match(request.target):
            return self._services.get("lambda")
        target = request.headers.get("x-amz-target") or target_prefix(request)
        if target is not None:
            return self._by_target.get(target.partition(".")[0])
        if _is_query(request):
            action = read_form(request).get("Action")
            for service in self._services.values():
                if service.speaks_query and action in service.operation_names:
                    return service
        return None


async def _serve_plain(handler: PlainHandler, request: Request, request_id: str) -> Response:
    try:
        response = await handler(request)
    except ApiError as error:
        return rest_json_error(error, request_id)
    except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told that it is internal
        _log.exception("%s %s failed (request %s)", request.method, request.raw_path, request_id)
        return rest_json_error(internal_error(request_id), request_id)
    response.headers = {"x-amzn-RequestId": request_id, **response.headers}
    return response


def _is_query(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(_FORM) or "Action=" in request.raw_query


def _refuse(request: Request, service: Service | None, error: ApiError, request_id: str) -> Response:
    """In the service's form, or else in the one that the caller seems to speak."""
    if service is not None:
        return service.error(request, error, request_id)
    if request.stream is not None:
        return refusal(request, S3, error, request_id)
    if target_prefix(request) is not None:
        return cbor_error(error, request_id)
    if "x-amz-target" in request.headers:
        return aws_json_error(error, request_id)
    if _is_query(request):
        return aws_query_error(error, request_id)
    return rest_json_error(error, request_id)


def base_url(request: Request) -> str:
    """The address under which this client reaches us; a proxy that ends TLS says so."""
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"


def too_large(method: str, target: str, request_id: str = "") -> Response:
    """The answer to a request whose body passed `body_limit`; the rest of it is not read."""
    response = rest_json_error(too_large_error(method, target), request_id or random_uuid())
    response.close = True
    return response


__all__ = ["Gateway", "PlainHandler", "UnknownService", "base_url", "body_limit", "too_large"]
