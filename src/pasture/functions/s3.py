"""Objects of S3, fetched into files through S3's own API; what is wrong is told in AWS Lambda's words.

botocore's client blocks, so every fetch has a thread of its own. It is a daemon: a store that does not answer never
keeps the server from ending. What comes is bounded in size and in time, and is never in memory as a whole.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pasture.domain.errors import AccessDenied, ApiError, InvalidParameterValue, ServiceError
from pasture.domain.scope import Scope
from pasture.functions.s3_options import AMAZON, S3Options

_log = logging.getLogger(__name__)

_CLIENTS_MAX = 16
_CHUNK = 256 * 1024
_REGION_CODES = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"})


class S3Object(NamedTuple):
    bucket: str
    key: str
    version: str | None = None


class S3:
    """An object larger than `bytes_max` is refused: it would unpack to more than that. One that takes longer than
    `seconds_max`, or is silent for as long as `patience`, is given up.
    """

    def __init__(
        self, options: S3Options, bytes_max: int, *, seconds_max: float = 120.0, patience: float = 20.0
    ) -> None:
        self._options = options
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max
        self._patience = patience
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    async def fetch(self, wanted: S3Object, scope: Scope, into: Path) -> None:
        """Write the object into this empty file. Raises ApiError; OSError when the file cannot be written."""
        if not self._options.endpoint:
            raise InvalidParameterValue(
                "Error occurred while GetObject. This server has no S3: set s3_endpoint "
                "(`pasture serve --s3-endpoint`) or a neighbour that serves s3, or send the package as ZipFile."
            )
        given_up = threading.Event()
        try:
            await _in_thread(lambda: self._fetch(wanted, self._options.region or scope.region, into, given_up.is_set))
        finally:
            given_up.set()

    # In the thread...

    def _fetch(self, wanted: S3Object, region: str, into: Path, given_up: Callable[[], bool]) -> None:
        version = {"VersionId": wanted.version} if wanted.version is not None else {}
        deadline = time.monotonic() + self._seconds_max
        try:
            answer = self._client(region).get_object(Bucket=wanted.bucket, Key=wanted.key, **version)
            with contextlib.closing(answer["Body"]) as body, into.open("r+b") as file:
                self._check_size(answer.get("ContentLength") or 0)
                size = 0
                while not given_up() and (chunk := body.read(_CHUNK)):
                    size += file.write(chunk)
                    self._check_size(size)
                    if time.monotonic() > deadline:
                        raise out_of_reach(f"it takes longer than {self._seconds_max:g} seconds")
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]
            status = metadata.get("HTTPStatusCode", 0)
            raise refusal(error.response["Error"], status, metadata.get("HTTPHeaders", {}), wanted) from error
        except BotoCoreError as error:
            _log.warning("cannot read %s from S3 at %s: %s", wanted, self._options.endpoint, error)
            raise out_of_reach("it cannot be reached, or not with the credentials of this server") from error

    def _check_size(self, size: int) -> None:
        if size > self._bytes_max:
            raise InvalidParameterValue(f"Unzipped size must be smaller than {self._bytes_max} bytes")

    def _client(self, region: str) -> Any:
        with self._making:
            if region not in self._clients:
                if len(self._clients) >= _CLIENTS_MAX:
                    self._clients.clear()
                self._clients[region] = self._made(region)
            return self._clients[region]

    def _made(self, region: str) -> Any:
        """Other stores than Amazon's have buckets in the path: a name for each is more than most of them resolve."""
        amazon = self._options.endpoint == AMAZON
        client = self._session.create_client(
            "s3",
            region_name=region,
            endpoint_url=None if amazon else self._options.endpoint,
            config=Config(
                connect_timeout=5,
                read_timeout=self._patience,
                retries={"total_max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "auto" if amazon else "path"},
            ),
        )
        client.meta.events.register_first("before-call.s3", _stay_in_region)
        return client

    @cached_property
    def _session(self) -> botocore.session.Session:
        return botocore.session.Session(profile=self._options.profile or None)


def _stay_in_region(context: dict[str, Any], **_more: Any) -> None:
    """botocore would follow a bucket to its region; Lambda does not, and says so."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def refusal(told: Mapping[str, Any], status: int, headers: Mapping[str, str], wanted: S3Object) -> ApiError:
    """Recorded from AWS, and from what users of AWS have reported."""
    code, message = told.get("Code", ""), told.get("Message", "")
    if code == "AccessDenied":
        return denied_by_s3(wanted, message)
    if code in _REGION_CODES:
        region = headers.get("x-amz-bucket-region") or told.get("Region") or "null"
        code = "PermanentRedirect"
        message = f"The bucket is in this region: {region}. Please use this region to retry the request"
    words = f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
    if status >= 500:
        _log.warning("S3 failed to give %s: %s (%s)", wanted, message, code)
        return ServiceError(words)
    return InvalidParameterValue(words)


def denied_by_s3(wanted: S3Object, message: str) -> AccessDenied:
    return AccessDenied(
        "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for "
        f"{wanted.bucket}/{wanted.key}. S3 Error Code: AccessDenied. S3 Error Message: {message}"
    )


def out_of_reach(why: str) -> ServiceError:
    return ServiceError(f"Error occurred while GetObject. S3 does not answer: {why}.")


async def _in_thread(work: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(failure: BaseException | None) -> None:
        if done.cancelled():
            return
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)

    def run() -> None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is whoever waits that it belongs to
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, failure)

    threading.Thread(target=run, name="s3", daemon=True).start()
    await done
