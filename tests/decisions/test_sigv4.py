"""What botocore signs is believed, and nothing else is."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from pasture.api.auth import sigv4
from pasture.api.auth.errors import IncompleteSignature, InvalidSignature
from pasture.domain.errors import ApiError
from pasture.http.message import Headers, Request

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = Credentials("AKIDEXAMPLE", SECRET)

QUERIES = st.lists(
    st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)).map(
        lambda pair: f"{quote(pair[0], safe='')}={quote(pair[1], safe='')}"
    ),
    max_size=4,
).map("&".join)
PATHS = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=8).map(lambda s: quote(s, safe=":$"))
    | st.sampled_from(["", ".", ".."]),
    max_size=5,
).map(lambda segments: "/" + "/".join(segments))
# Inner blanks are for the client and the server to fold alike; the ends are not sent.
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20).map(str.strip)


def signed(
    method: str = "POST",
    path: str = "/2015-03-31/functions/f/invocations",
    query: str = "",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    presigned: int | None = None,
) -> Request:
    """A request signed by botocore, as it arrives."""
    url = f"http://localhost:3000{path}" + (f"?{query}" if query else "")
    made = AWSRequest(method, url, data=body, headers=headers or {})
    signer: Any = SigV4Auth(KEY, "lambda", "us-east-1")
    if presigned is not None:
        signer = SigV4QueryAuth(KEY, "lambda", "us-east-1", expires=presigned)
    signer.add_auth(made)
    parts = urlsplit(made.url)
    fields = [("Host", "localhost:3000"), *((name, value) for name, value in made.headers.items())]
    arrived = Headers((name.encode(), _bytes(value)) for name, value in fields)
    target = str(made.url).removeprefix("http://localhost:3000") if parts.path or parts.query else "/"
    return Request(method, target, arrived, body)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def holds(request: Request, secret: str = SECRET) -> bool:
    claim = sigv4.read_claim(request.target, request.headers)
    assert claim is not None
    digest = hashlib.sha256(request.body).hexdigest()
    return sigv4.is_signed_with(secret, claim, request.method, request.target, request.headers, digest)


def changed(request: Request, **headers: str) -> Request:
    fields = [(n.encode(), v.encode()) for n, v in request.headers.fields if n.replace("-", "_") not in headers]
    fields += [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    return Request(request.method, request.target, Headers(fields), request.body)


@given(PATHS, QUERIES, VALUES)
def test_what_botocore_signs_in_a_header_holds(path: str, query: str, value: str) -> None:
    assert holds(signed(path=path, query=query, headers={"X-Amz-Client-Context": value}))


@given(PATHS, QUERIES)
def test_what_botocore_presigns_holds(path: str, query: str) -> None:
    assert holds(signed("GET", path=path, query=query, body=b"", presigned=60))


@pytest.mark.parametrize(
    "path",
    [
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
        "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
        "/2015-03-31/functions/",
        "/2015-03-31//functions/./a/../b",
        "/",
        "/a%2Fb/%E2%82%AC/~x/$LATEST",
    ],
)
def test_a_path_holds_however_it_is_written(path: str) -> None:
    assert holds(signed(path=path))


@pytest.mark.parametrize(
    "query", ["List=ALL", "a", "b=2&a=1&a=0&a-b=3&a=", "x=%2F&x=a%20b", "x=a+b", "%C3%84=1", "x=a/b:c"]
)
def test_a_query_holds_however_it_is_written(query: str) -> None:
    assert holds(signed("GET", query=query, body=b""))


def test_a_header_with_utf8_and_runs_of_blanks_holds() -> None:
    assert holds(signed(headers={"X-Amz-Meta": "à  b\t c"}))


def test_a_body_that_is_declared_unsigned_holds_whatever_it_is() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    request.body = b"something else"
    assert holds(request)


def test_the_form_of_the_go_sdk_holds_which_does_not_normalise_its_path() -> None:
    claim = _claim_for("/a//b")
    forms = list(sigv4.canonical_requests(claim, "GET", "/a//b", Headers([(b"host", b"h")]), sigv4.EMPTY_SHA256))
    assert [form.split("\n")[1] for form in forms] == ["/a/b", "/a//b"]


def _claim_for(target: str) -> sigv4.Claim:
    claim = sigv4.read_claim(target, signed().headers)
    assert claim is not None
    return claim


def test_the_example_of_the_aws_guide_gives_the_signing_key_of_the_guide() -> None:
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


# What is not believed...


def test_another_secret_does_not_hold() -> None:
    assert not holds(signed(), "another")


def test_a_changed_body_does_not_hold() -> None:
    request = signed()
    request.body = b'{"changed": true}'
    assert not holds(request)


def test_a_changed_body_does_not_hold_though_its_hash_is_declared_anew() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": hashlib.sha256(b"{}").hexdigest()})
    request.body = b"changed"
    assert not holds(request)
    assert not holds(changed(request, x_amz_content_sha256=hashlib.sha256(b"changed").hexdigest()))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/2015-03-31/functions/f/invocations?Qualifier=1"),
        ("POST", "/2015-03-31/functions/g/invocations?Qualifier=1"),
        ("POST", "/2015-03-31/functions/f/invocations?Qualifier=2"),
        ("POST", "/2015-03-31/functions/f/invocations"),
        ("POST", "/2015-03-31/functions/f/invocations?Qualifier=1&X-Amz-Other=1"),
    ],
)
def test_another_method_path_or_query_does_not_hold(method: str, target: str) -> None:
    request = signed(query="Qualifier=1")
    assert not holds(Request(method, target, request.headers, request.body))


def test_a_changed_signed_header_does_not_hold() -> None:
    assert not holds(changed(signed(headers={"X-Amz-Log-Type": "None"}), x_amz_log_type="Tail"))


def test_a_presigned_link_cannot_be_made_to_last_longer() -> None:
    request = signed("GET", body=b"", presigned=60)
    request.target = request.target.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
    assert not holds(request)


def refusal(target: str, *headers: tuple[str, str]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        sigv4.read_claim(target, Headers((name.encode(), value.encode()) for name, value in headers))
    return raised.value


def test_a_header_of_aws_that_is_not_signed_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="'x-amz-invocation-type' must be a 'SignedHeader'"):
        holds(changed(signed(), x_amz_invocation_type="Event"))


@pytest.mark.parametrize("day", ["2015", "", "20150831", "20150830T"])
def test_a_day_that_is_not_that_of_the_date_is_refused(day: str) -> None:
    terms = f"AWS4-HMAC-SHA256 Credential=AKID/{day}/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date"
    headers = (("Host", "h"), ("X-Amz-Date", "20150830T123600Z"), ("Authorization", f"{terms}, Signature=ab"))
    assert refusal("/", *headers).message.startswith("Date in Credential scope does not match YYYYMMDD")


def test_the_parameters_may_come_in_any_order_and_spacing() -> None:
    credential, date = "Credential=AKID/20150830/us-east-1/lambda/aws4_request", ("X-Amz-Date", "20150830T123600Z")
    forms = [
        f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=ab",
        f"AWS4-HMAC-SHA256 {credential},SignedHeaders=host,Signature=ab",
        f"AWS4-HMAC-SHA256 Signature=ab, {credential}, SignedHeaders=host",
        f"AWS4-HMAC-SHA256  SignedHeaders=host,  {credential} , Signature=ab ",
        f"AWS4-HMAC-SHA256 {credential}, Other=x, SignedHeaders=host, Signature=ab",
    ]
    claims = [
        sigv4.read_claim("/", Headers((n.encode(), v.encode()) for n, v in (("Authorization", form), date)))
        for form in forms
    ]
    assert claims == [claims[0]] * len(forms)
    assert claims[0] == sigv4.Claim(
        "AKID", "20150830", "us-east-1", "lambda", ("host",), "ab", "20150830T123600Z", None
    )


def test_an_empty_authorization_names_all_that_it_lacks() -> None:
    assert refusal("/", ("Authorization", "AWS4-HMAC-SHA256 x")).message.startswith(
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either "
        "a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64 Authorization="
    )


@pytest.mark.parametrize(
    ("credential", "date", "message"),
    [
        (
            "AKID/20150830/us-east-1/lambda",
            "20150830T123600Z",
            (
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                "got 'AKID/20150830/us-east-1/lambda'"
            ),
        ),
        (
            "AKID/20150830/us-east-1/lambda/aws3_request",
            "20150830T123600Z",
            "Credential should be scoped with a valid terminator: 'aws4_request'.",
        ),
        (
            "AKID/20150830/../lambda/aws4_request",
            "20150830T123600Z",
            "Credential should be scoped to a valid region.",
        ),
        (
            "AKID/20150830/us-east-1//aws4_request",
            "20150830T123600Z",
            "Credential should be scoped to correct service.",
        ),
        (
            "AKID/20150829/us-east-1/lambda/aws4_request",
            "20150830T123600Z",
            (
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                "'20150829' != '20150830', from '20150830T123600Z'."
            ),
        ),
        (
            "AKID/20150830/us-east-1/lambda/aws4_request",
            "yesterday",
            "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused_in_aws_words(credential: str, date: str, message: str) -> None:
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
    assert refusal("/", ("Host", "h"), ("X-Amz-Date", date), ("Authorization", authorization)).message == message


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "x", "", "9" * 5000, "000000000001999999"])
def test_a_presigned_link_of_no_legal_length_is_refused(expires: str) -> None:
    target = f"/?X-Amz-Algorithm={sigv4.ALGORITHM}&X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=host"
    error = refusal(f"{target}&X-Amz-Date=20150830T123600Z&X-Amz-Expires={expires}")
    assert (type(error), error.message) == (
        IncompleteSignature,
        "X-Amz-Expires must be between 1 and 604800 seconds.",
    )


@given(st.text(max_size=80), st.text(st.characters(max_codepoint=0xFF), max_size=80))
def test_no_authorization_header_does_more_than_be_refused(tail: str, other: str) -> None:
    raw = [(b"host", b"h"), (b"authorization", f"AWS4-HMAC-SHA256 {tail}".encode()), (b"x-amz-date", other.encode())]
    status = 403
    try:
        sigv4.read_claim("/", Headers(raw))
    except ApiError as error:
        status = error.status
    assert status == 403


# Time...

SIGNED_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()


def claim_of(presigned: int | None = None) -> sigv4.Claim:
    return sigv4.Claim(
        "k", "20150830", "us-east-1", "lambda", ("host",), "s", "20150830T123600Z", None, None, presigned
    )


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_a_signature_holds_for_five_minutes_either_way(skew: int) -> None:
    sigv4.check_time(claim_of(), SIGNED_AT + skew)


def test_an_old_signature_has_expired() -> None:
    with pytest.raises(InvalidSignature) as raised:
        sigv4.check_time(claim_of(), SIGNED_AT + 301)
    assert raised.value.message == (
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    )


def test_a_signature_from_the_future_is_not_yet_current() -> None:
    with pytest.raises(InvalidSignature) as raised:
        sigv4.check_time(claim_of(), SIGNED_AT - 301)
    assert raised.value.message == (
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    )


def test_a_presigned_link_holds_as_long_as_it_says() -> None:
    sigv4.check_time(claim_of(60), SIGNED_AT + 60)
    with pytest.raises(InvalidSignature, match="Signature expired"):
        sigv4.check_time(claim_of(60), SIGNED_AT + 61)


def test_a_date_header_will_do() -> None:
    credential = "AKID/20150830/us-east-1/lambda/aws4_request"
    claim = sigv4.read_claim(
        "/",
        Headers(
            [
                (b"host", b"h"),
                (b"date", b"Sun, 30 Aug 2015 12:36:00 GMT"),
                (
                    b"authorization",
                    f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=date;host,Signature=0".encode(),
                ),
            ]
        ),
    )
    assert claim is not None
    assert claim.timestamp == "20150830T123600Z"
