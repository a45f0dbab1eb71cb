"""What is read of a call that is passed on: its bucket, its operation, what it needs to be allowed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.passing.addresses import backward, onward, path_style, without_signature
from pasture.api.passing.claims import claimed_service, is_signed, streams_to_s3
from pasture.api.passing.needs import Needed, needed
from pasture.api.passing.operations import asked
from pasture.api.passing.uploads import DigestMismatch, MalformedChunks, checked, without_signatures
from pasture.domain.scope import Scope
from pasture.http.message import Headers, Request
from pasture.neighbours import tracing
from pasture.neighbours.models import load

SCOPE = Scope("111122223333", "eu-west-1")
S3 = load("s3").model


def headers(**fields: str) -> Headers:
    return Headers((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())


@pytest.mark.parametrize(
    ("host", "target", "found"),
    [
        ("localhost:9600", "/bucket/key", "/bucket/key"),
        ("127.0.0.1:9600", "/bucket/key", "/bucket/key"),
        ("bucket.localhost:9600", "/key?acl", "/bucket/key?acl"),
        ("bucket.localhost", "/", "/bucket"),
        ("my.bucket.s3.localhost:9600", "/a//b", "/my.bucket/a//b"),
        ("bucket.s3.eu-west-1.amazonaws.com", "/key", "/bucket/key"),
        ("bucket.s3-eu-west-1.example.com", "/key", "/bucket/key"),
        ("s3.localhost:9600", "/bucket/key", "/bucket/key"),
        ("pasture.example.com", "/bucket/key", "/bucket/key"),
    ],
)
def test_a_bucket_in_the_host_goes_into_the_path(host: str, target: str, found: str) -> None:
    assert path_style(target, host) == found


def test_what_signs_a_link_is_not_passed_on_and_the_rest_stays_as_it_stands() -> None:
    link = "/b/k?versionId=a%2Fb&X-Amz-Algorithm=x&X-Amz-Signature=y&x-id=GetObject&X-Amz-Expires=1"
    assert without_signature(link) == "/b/k?versionId=a%2Fb&x-id=GetObject"
    assert without_signature("/b/k?X-Amz-Signature=y") == "/b/k"


def test_neither_the_connection_nor_the_signature_nor_an_account_is_passed_on() -> None:
    sent = headers(
        Host="h", Connection="close", Authorization="a", X_Amz_Date="d", X_Moto_Account_Id="1", Transfer_Encoding="chunked",
        X_Amz_Meta_A="1", X_Amzn_Trace_Id="t", X_Amz_Security_Token="s",
    )  # fmt: skip
    assert dict(onward(sent.fields)) == {"x-amz-meta-a": "1", "x-amzn-trace-id": "t"}
    assert backward([("Server", "x"), ("ETag", "e"), ("Connection", "close")]) == {"ETag": "e"}


def test_the_service_is_read_from_header_or_link() -> None:
    signed = headers(
        Authorization="AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host"
    )
    link = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2Feu-west-1%2Fs3%2Faws4_request"
    assert claimed_service("/", signed) == "sqs"
    assert claimed_service(link, headers()) == "s3"
    assert claimed_service("/2018-06-01/runtime/invocation/next", headers()) is None
    assert (streams_to_s3("/", signed), streams_to_s3(link, headers())) == (False, True)
    assert (is_signed("/", signed), is_signed(link, headers())) == (True, True)
    assert not is_signed("/2018-06-01/runtime/invocation/next", headers(Authorization="token"))


@pytest.mark.parametrize(
    ("method", "target", "more", "operation", "needs"),
    [
        ("GET", "/", {}, "ListBuckets", [("s3:ListAllMyBuckets", "*")]),
        ("PUT", "/b", {}, "CreateBucket", [("s3:CreateBucket", "arn:aws:s3:::b")]),
        ("GET", "/b?list-type=2", {}, "ListObjectsV2", [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("HEAD", "/b", {}, "HeadBucket", [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("GET", "/b/a/b%20c", {}, "GetObject", [("s3:GetObject", "arn:aws:s3:::b/a/b c")]),
        ("HEAD", "/b/k", {}, "HeadObject", [("s3:GetObject", "arn:aws:s3:::b/k")]),
        ("PUT", "/b/k?x-id=PutObject", {}, "PutObject", [("s3:PutObject", "arn:aws:s3:::b/k")]),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart", [("s3:PutObject", "arn:aws:s3:::b/k")]),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload", [("s3:PutObject", "arn:aws:s3:::b/k")]),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload", [("s3:PutObject", "arn:aws:s3:::b/k")]),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload", [("s3:AbortMultipartUpload", "arn:aws:s3:::b/k")]),
        ("POST", "/b?delete", {}, "DeleteObjects", [("s3:DeleteObject", "arn:aws:s3:::b/*")]),
        ("GET", "/b?policy", {}, "GetBucketPolicy", [("s3:GetBucketPolicy", "arn:aws:s3:::b")]),
        ("PUT", "/b/k?tagging", {}, "PutObjectTagging", [("s3:PutObjectTagging", "arn:aws:s3:::b/k")]),
        (
            "PUT",
            "/b/k",
            {"x_amz_copy_source": "/from/a%20b?versionId=1"},
            "CopyObject",
            [("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:GetObject", "arn:aws:s3:::from/a b")],
        ),
    ],
)
def test_calls_of_s3_are_known_by_their_routes(
    method: str, target: str, more: dict[str, str], operation: str, needs: list[tuple[str, str]]
) -> None:
    request = Request(method, target, headers(**more))
    found = asked(request, target, lambda: S3)
    copied = request.headers.get("x-amz-copy-source", "")
    assert found.operation == operation
    assert list(needed("s3", operation, found.parameters, SCOPE, copied)) == [Needed(*need) for need in needs]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needs"),
    [
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": "http://127.0.0.1:9600/111122223333/q"},
            [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:q")],
        ),
        ("sqs", "GetQueueUrl", {"QueueName": "q"}, [("sqs:GetQueueUrl", "arn:aws:sqs:eu-west-1:111122223333:q")]),
        ("sqs", "ListQueues", {}, [("sqs:ListQueues", "*")]),
        ("sns", "Publish", {"TopicArn": "arn:aws:sns:r:a:t"}, [("sns:Publish", "arn:aws:sns:r:a:t")]),
        (
            "dynamodb",
            "GetItem",
            {"TableName": "t"},
            [("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/t")],
        ),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"a": {}, "b": {}}},
            [
                ("dynamodb:BatchGetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/a"),
                ("dynamodb:BatchGetItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/b"),
            ],
        ),
        (
            "events",
            "PutEvents",
            {"Entries": [{"EventBusName": "mine"}, {}]},
            [
                ("events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default"),
                ("events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/mine"),
            ],
        ),
        (
            "ssm",
            "GetParameter",
            {"Name": "/a/b"},
            [("ssm:GetParameter", "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b")],
        ),
        ("kms", "Encrypt", {"KeyId": "k"}, [("kms:Encrypt", "*")]),
    ],
)
def test_other_calls_need_their_operation_on_what_they_name(
    service: str, operation: str, parameters: dict[str, Any], needs: list[tuple[str, str]]
) -> None:
    assert list(needed(service, operation, parameters, SCOPE)) == [Needed(*need) for need in needs]


def test_operations_are_named_by_a_header_or_a_form() -> None:
    told = Request("POST", "/", headers(X_Amz_Target="AmazonSQS.ReceiveMessage"), b'{"QueueUrl": "u"}')
    form = Request("POST", "/", headers(), b"Action=Publish&TopicArn=a")
    assert asked(told, "/", lambda: None) == ("ReceiveMessage", {"QueueUrl": "u"})
    assert asked(form, "/", lambda: None).operation == "Publish"
    assert asked(Request("GET", "/x", headers()), "/x", lambda: None).operation == "Unknown"


# Bodies...


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


CHUNKS = (
    b"5;chunk-signature=aa\r\nhello\r\n6;chunk-signature=bb\r\n world\r\n0;chunk-signature=cc\r\n"
    b"x-amz-checksum-crc32:abc=\r\nx-amz-trailer-signature:dd\r\n\r\n"
)


@given(st.integers(1, len(CHUNKS)))
async def test_signatures_of_chunks_are_taken_out_wherever_the_body_is_cut(size: int) -> None:
    plain = b"".join([piece async for piece in without_signatures(pieces(CHUNKS, size), framed=False)])
    framed = b"".join([piece async for piece in without_signatures(pieces(CHUNKS, size), framed=True)])
    assert plain == b"hello world"
    assert b"chunk-signature" not in framed
    assert b"trailer-signature" not in framed
    assert framed.endswith(b"0\r\nx-amz-checksum-crc32:abc=\r\n\r\n")
    again = b"".join([piece async for piece in without_signatures(pieces(framed, size), framed=False)])
    assert again == b"hello world"


@pytest.mark.parametrize("body", [b"hello", b"zz\r\nhello\r\n", b"2;x\r\nhello\r\n", b"x" * 100_000])
async def test_what_is_not_in_chunks_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedChunks):
        async for _ in without_signatures(pieces(body, 100), framed=False):
            pass


@given(st.binary(min_size=1, max_size=100), st.integers(1, 100))
async def test_a_body_that_is_not_the_one_that_was_signed_never_becomes_whole(body: bytes, size: int) -> None:
    passed = b""
    with pytest.raises(DigestMismatch):  # noqa: PT012 - what came before it counts
        async for piece in checked(pieces(body, size), "0" * 64):
            passed += piece
    assert len(passed) < len(body)


# Traces...


def test_a_message_gets_the_trace_of_its_call_unless_it_has_one() -> None:
    assert tracing.with_trace("SendMessage", b'{"MessageBody": "x"}', "Root=1") == (
        b'{"MessageBody": "x", "MessageSystemAttributes": '
        b'{"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}}'
    )
    own = tracing.with_trace("SendMessage", b'{"MessageBody": "x"}', "Root=2")
    assert tracing.with_trace("SendMessage", own, "Root=1") == own
    assert tracing.with_trace("ReceiveMessage", b"{}", "Root=1") == b"{}"
    assert tracing.with_trace("SendMessage", b"not json {", "Root=1").count(b"AWSTraceHeader") == 1  # a form
    assert tracing.with_trace("SendMessage", b"{broken", "Root=1") == b"{broken"
    batch = tracing.with_trace("SendMessageBatch", b'{"Entries": [{"Id": "1"}, {"Id": "2"}]}', "Root=1")
    assert batch.count(b"Root=1") == 2
    form = tracing.with_trace(
        "SendMessageBatch", b"SendMessageBatchRequestEntry.1.Id=a&Action=SendMessageBatch", "Root=1"
    )
    assert b"SendMessageBatchRequestEntry.1.MessageSystemAttribute.1.Name=AWSTraceHeader" in form
