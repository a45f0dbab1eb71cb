"""Objects of S3: fetched whole, or refused in Lambda's words, from a real server and from ones that misbehave."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.s3 import KEYS, Scripted, client, refusal, serving
from pasture.domain.errors import ApiError
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.package import Packages
from pasture.functions.s3 import S3, S3Object
from pasture.functions.s3_options import S3Options
from pasture.functions.sources import Sources
from pasture.store.blobs import Blobs

OBJECT = S3Object("bucket", "path/to/code.zip")
CONTENT = os.urandom(1_000_000)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name.upper(), value)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with serving() as url:
        s3 = client(url)
        s3.create_bucket(Bucket="bucket")
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="bucket", Key=OBJECT.key, Body=b"old")
        s3.put_object(Bucket="bucket", Key=OBJECT.key, Body=CONTENT)
        yield url


async def fetched(url: str, tmp_path: Path, wanted: S3Object = OBJECT, limit: int = 10_000_000, **more: Any) -> bytes:
    file = tmp_path / "file"
    file.touch()
    await S3(S3Options(url), limit, **more).fetch(wanted, Scope(), file)
    return file.read_bytes()


async def refused(url: str, tmp_path: Path, wanted: S3Object = OBJECT, **more: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as failure:
        await fetched(url, tmp_path, wanted, **more)
    return failure.value.status, failure.value.code, failure.value.message


async def test_an_object_comes_whole(store: str, tmp_path: Path) -> None:
    assert await fetched(store, tmp_path) == CONTENT


async def test_a_version_of_an_object_comes(store: str, tmp_path: Path) -> None:
    versions = client(store).list_object_versions(Bucket="bucket", Prefix=OBJECT.key)["Versions"]
    (old,) = (version["VersionId"] for version in versions if version["Size"] == 3)
    assert await fetched(store, tmp_path, OBJECT._replace(version=old)) == b"old"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (S3Object("nobody-has-it", "k"), "NoSuchBucket. S3 Error Message: The specified bucket does not exist"),
        (S3Object("bucket", "nothing"), "NoSuchKey. S3 Error Message: The specified key does not exist."),
    ],
)
async def test_what_is_not_there_is_told_in_the_words_recorded_from_aws(
    store: str, tmp_path: Path, wanted: S3Object, words: str
) -> None:
    words = f"Error occurred while GetObject. S3 Error Code: {words}"
    assert await refused(store, tmp_path, wanted) == (400, "InvalidParameterValueException", words)


async def test_a_version_that_is_none_is_told_in_the_words_of_s3(store: str, tmp_path: Path) -> None:
    status, code, message = await refused(store, tmp_path, OBJECT._replace(version="none"))
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message.startswith("Error occurred while GetObject. S3 Error Code: ")


async def test_an_object_above_the_limit_is_refused_before_it_comes(store: str, tmp_path: Path) -> None:
    assert await refused(store, tmp_path, limit=999_999) == (
        400,
        "InvalidParameterValueException",
        "Unzipped size must be smaller than 999999 bytes",
    )
    assert (tmp_path / "file").stat().st_size == 0


async def test_a_denial_is_passed_on(tmp_path: Path) -> None:
    s3 = Scripted(refusal("403 Forbidden", "AccessDenied", "Access Denied"))
    assert await refused(s3.url, tmp_path) == (
        403,
        "AccessDeniedException",
        (
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject "
            "for bucket/path/to/code.zip. S3 Error Code: AccessDenied. S3 Error Message: Access Denied"
        ),
    )
    s3.close()


@pytest.mark.parametrize(
    ("answer", "region"),
    [
        (refusal("301 Moved Permanently", "PermanentRedirect", "Elsewhere.", headers="x-amz-bucket-region: eu-west-1\r\n"), "eu-west-1"),
        (refusal("400 Bad Request", "AuthorizationHeaderMalformed", "Wrong.", "<Region>eu-west-2</Region>"), "eu-west-2"),
        (refusal("301 Moved Permanently", "PermanentRedirect", "Elsewhere."), "null"),
    ],
)  # fmt: skip
async def test_a_bucket_of_another_region_is_not_followed_there(tmp_path: Path, answer: bytes, region: str) -> None:
    s3 = Scripted(answer)
    assert await refused(s3.url, tmp_path) == (
        400,
        "InvalidParameterValueException",
        (
            "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: "
            f"The bucket is in this region: {region}. Please use this region to retry the request"
        ),
    )
    assert len(s3.requests) == 1
    s3.close()


async def test_a_failure_of_s3_is_ours_after_another_try(tmp_path: Path) -> None:
    s3 = Scripted(refusal("503 Slow Down", "SlowDown", "Please reduce your request rate."))
    assert await refused(s3.url, tmp_path) == (
        500,
        "ServiceException",
        "Error occurred while GetObject. S3 Error Code: SlowDown. S3 Error Message: Please reduce your request rate.",
    )
    assert len(s3.requests) == 2
    s3.close()


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 1000
OUT_OF_REACH = "it cannot be reached, or not with the credentials of this server"


@pytest.mark.parametrize("closes", [True, False])
async def test_an_object_that_stops_coming_is_refused(tmp_path: Path, *, closes: bool) -> None:
    s3 = Scripted(BEGUN, closes=closes)
    status, code, message = await refused(s3.url, tmp_path, patience=0.2)
    assert (status, code) == (500, "ServiceException")
    assert message == f"Error occurred while GetObject. S3 does not answer: {OUT_OF_REACH}."
    s3.close()


async def test_an_object_without_a_length_is_counted_as_it_comes(tmp_path: Path) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    s3 = Scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, closes=False)
    words = "Unzipped size must be smaller than 500000 bytes"
    assert (await refused(s3.url, tmp_path, limit=500_000))[2] == words
    s3.close()


async def test_an_object_that_takes_too_long_is_given_up(store: str, tmp_path: Path) -> None:
    status, _, message = await refused(store, tmp_path, seconds_max=0.0)
    assert (status, message) == (
        500,
        "Error occurred while GetObject. S3 does not answer: it takes longer than 0 seconds.",
    )


async def test_a_store_that_is_not_there_is_ours_to_mend(tmp_path: Path) -> None:
    gone = Scripted()
    url = gone.url
    gone.close()
    assert (await refused(url, tmp_path))[:2] == (500, "ServiceException")


async def test_without_keys_nothing_is_asked(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert (await refused(store, tmp_path))[:2] == (500, "ServiceException")


async def test_who_stops_waiting_leaves_no_file(tmp_path: Path) -> None:
    s3 = Scripted(BEGUN, closes=False)
    packages = Packages(tmp_path / "packages", Blobs(tmp_path / "blobs"), Limits())
    sources = Sources(packages, S3(S3Options(s3.url), 10_000_000))

    async def take() -> None:
        async with sources.package({"S3Bucket": "bucket", "S3Key": "k"}, Scope()):
            pytest.fail("it cannot have come")

    taking = asyncio.create_task(take())
    await asyncio.to_thread(s3.asked.wait, 30)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    s3.close()
