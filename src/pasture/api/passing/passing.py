"""Calls for neighbours: believed as Pasture believes every call, signed anew, answered as the neighbour answers."""

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pasture.api.auth.s3_links import without_link
from pasture.api.call import Authenticated, Call
from pasture.api.passing.addresses import backward, path_style, without_signature
from pasture.api.passing.claims import S3
from pasture.api.passing.exchange import Exchange, Upload
from pasture.api.passing.refusals import refusal
from pasture.api.passing.rights import PassingRights
from pasture.api.passing.uploads import drained
from pasture.api.wire.service import internal_error
from pasture.domain.errors import ApiError
from pasture.http.message import CutOff, Request, Response
from pasture.neighbours.caller import NeighbourUnreachable, NoNeighbour
from pasture.neighbours.client import Neighbours
from pasture.neighbours.connections import failures, send, unreachable
from pasture.neighbours.directory import Target

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_log = logging.getLogger(__name__)

# An answer up to this size is sent on whole.
_SMALL = 64 * 1024
_PIECE = 256 * 1024
# What the embedded server answers to anyone, beside its services.
_CLOSED = ("/moto-api", "/latest/", "/favicon.ico")


class ServiceUnavailable(ApiError):
    """SDKs try again after it."""

    code = "ServiceUnavailableException"
    status = 503
    fault = "Service"


class UnknownService(ApiError):
    """Ours: on AWS every service has an address of its own, and none is asked for another."""

    code = "UnknownServiceException"
    status = 404


class Passing:
    def __init__(self, neighbours: Neighbours, rights: PassingRights) -> None:
        self._neighbours = neighbours
        self._rights = rights

    def serves(self, service: str) -> bool:
        return self._neighbours.directory.has(service)

    async def answer(self, request: Request, request_id: str, who: Authenticated, base_url: str) -> Response:
        """Every answer, errors too, is in the form of the service."""
        service = who.service or ""
        try:
            return await self._passed(request, request_id, who, base_url)
        except ApiError as error:
            answer = refusal(request, service, error, request_id)
        except NoNeighbour as error:
            answer = refusal(request, service, UnknownService(str(error)), request_id)
        except NeighbourUnreachable as error:
            _log.warning("%s %s for %s: %s", request.method, request.raw_path, service, error)
            answer = refusal(request, service, ServiceUnavailable(str(error)), request_id)
        except ConnectionResetError:
            return Response(400, close=True)  # nobody is there to read it
        except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told that it is internal
            _log.exception("%s %s for %s failed (request %s)", request.method, request.raw_path, service, request_id)
            answer = refusal(request, service, internal_error(request_id), request_id)
        if request.stream is not None and not request.stream.has_ended:
            await drained(request.stream)
        return answer

    async def _passed(self, request: Request, request_id: str, who: Authenticated, base_url: str) -> Response:
        service = who.service or ""
        target = await self._neighbours.directory.find(service, who.scope, _endpoint(request, service))
        where = without_link(without_signature(request.target)) if service == S3 else without_signature(request.target)
        if service == S3:
            where = path_style(where, request.headers.get("host", ""))
        if target.is_embedded and unquote(where).startswith(_CLOSED):
            raise UnknownService("This is not served.")
        if self._rights.are_limited(who):
            wire = None
            if "x-amz-target" not in request.headers and service == S3:
                wire = await self._neighbours.models.wire(S3)
            call = Call(request_id, "", who.scope, who.principal, request, base_url)
            model = wire.model if wire is not None else None
            self._rights.check(who, call, where, embedded=target.is_embedded, model=lambda: model)
        return await self._exchanged(request, request_id, target, where)

    async def _exchanged(self, request: Request, request_id: str, target: Target, where: str) -> Response:
        directory, connections = self._neighbours.directory, self._neighbours.connections
        session = await connections.open(directory.socket if target.is_embedded else None)
        upload = Upload(request)
        headers = await upload.headers(target, where)
        call = send(session, request.method, target.url + where, headers, upload.body)
        exchange = Exchange(request, upload, call)
        answer = await exchange.answer(target)
        try:
            return await _shown(request, answer, request_id)
        except failures() as error:
            raise unreachable(target.url, error) from error


async def _shown(request: Request, answer: "ClientResponse", request_id: str) -> Response:
    """Whole, when it is small; else on its way, with the length that it says it has."""
    headers = backward(answer.headers.items())
    if not {"x-amzn-RequestId", "x-amz-request-id"} & answer.headers.keys():
        headers["x-amzn-RequestId"] = request_id
    length = answer.headers.get("Content-Length")
    if answer.status in {204, 304}:
        answer.release()
        return Response(answer.status, headers)
    if length is not None and (request.method == "HEAD" or int(length) > _SMALL):
        return Response(answer.status, {**headers, "Content-Length": length}, _pieces(answer))
    if length is None and request.method != "HEAD":
        return Response(answer.status, headers, _pieces(answer))
    return Response(answer.status, headers, await answer.read())


async def _pieces(answer: "ClientResponse") -> AsyncIterator[bytes]:
    """When its reader goes, so does the connection to the neighbour."""
    try:
        async for piece in answer.content.iter_chunked(_PIECE):
            yield piece
    except failures() as error:
        raise CutOff(f"the neighbour's answer has ended too soon: {error}") from error
    finally:
        answer.close()


def _endpoint(request: Request, service: str) -> str:
    """What Amazon's hosts call it."""
    if service == "dynamodb" and request.headers.get("x-amz-target", "").startswith("DynamoDBStreams"):
        return "streams.dynamodb"
    return {"ses": "email"}.get(service, service)
