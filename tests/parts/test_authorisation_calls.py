"""Every call is judged before its operation runs: keys with policies, roles, session policies, the open door."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import msgspec
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pasture.api.auth.authenticator import Authenticator, OpenDoor
from pasture.api.auth.authorisation import Authorizer
from pasture.api.auth.keys import KeyRing
from pasture.api.call import Call
from pasture.api.gateway import Gateway
from pasture.api.sts import AssumingRoles, CallerIdentity
from pasture.api.wire.service import Service
from pasture.http.message import Headers, Request, Response
from pasture.iam.policy import Kind, Policy, parse
from pasture.iam.roles import Role, Roles
from pasture.iam.sessions import Sessions
from pasture.kit.clock import ManualClock, SystemClock

ACCOUNT = "111122223333"
FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
OTHER = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:g"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
INVOKE = "/2015-03-31/functions/f/invocations"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/r/ann"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str = "lambda:InvokeFunction", resource: str = FUNCTION, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


class Operations:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def invoke(self, call: Call, _request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call.operation)
        return {"StatusCode": 200, "Payload": b"1"}

    async def create_function(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call.operation)
        return {"FunctionName": request["FunctionName"]}

    async def describe_log_groups(self, call: Call, _request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call.operation)
        return {}


class Node:
    """What a server is made of, but for the functions."""

    def __init__(self, folder: Path, *, auth: bool = True, resource_policy: Policy | None = None) -> None:
        self.keys = KeyRing(folder / "keys.json")
        self.roles = Roles(folder / "roles.json")
        self.sessions = Sessions(bytes(32), SystemClock())
        self.operations = Operations()

        async def policy_of(arn: str) -> Policy | None:
            return resource_policy if arn == FUNCTION else None

        authorizer = Authorizer(SystemClock(), policy_of) if auth else None
        authorise = authorizer.authorise if authorizer else None
        sts = [CallerIdentity(), AssumingRoles(self.roles, self.sessions, authorizer)]
        services = {
            "lambda": Service("lambda", [self.operations], authorise),
            "logs": Service("logs", [self.operations], authorise),
            "sts": Service("sts", sts, authorise),
        }
        known = Authenticator(self.keys, SystemClock(), self.sessions, self.roles)
        self.gateway = Gateway(services, known if auth else OpenDoor(sessions=self.sessions))

    def key(self, *statements: dict[str, Any], account: str = ACCOUNT) -> Credentials:
        key = self.keys.create(account, "ann", document(*statements) if statements else None)
        return Credentials(key.id, key.secret)

    def session(self, seconds: int = 900, **more: str) -> Credentials:
        made = self.sessions.issue(ROLE, "ann", seconds, **more)
        return Credentials(made.access_key_id, made.secret_access_key, made.session_token)

    async def call(
        self,
        who: Credentials,
        target: str = INVOKE,
        body: bytes = b"{}",
        service: str = "lambda",
        headers: dict[str, str] | None = None,
        *,
        presigned: bool = False,
    ) -> Response:
        made = AWSRequest("POST", f"http://localhost:3000{target}", data=body, headers=headers or {})
        (SigV4QueryAuth if presigned else SigV4Auth)(who, service, "eu-west-1").add_auth(made)
        fields = {"Host": "localhost:3000", **dict(made.headers.items())}
        path = str(made.url).removeprefix("http://localhost:3000")
        head = Headers((name.encode(), value.encode()) for name, value in fields.items())
        return await self.gateway(Request("POST", path, head, body, "10.0.0.7:4711"))

    async def sts(self, who: Credentials, action: str, **parameters: Any) -> tuple[int, dict[str, str]]:
        body = urlencode({"Action": action, "Version": "2011-06-15", **parameters}).encode()
        response = await self.call(who, "/", body, "sts", {"Content-Type": "application/x-www-form-urlencoded"})
        assert isinstance(response.body, bytes)
        elements = ET.fromstring(response.body).iter()
        return response.status, {element.tag.rpartition("}")[2]: element.text or "" for element in elements}

    async def assume(self, who: Credentials, **parameters: Any) -> Credentials:
        status, told = await self.sts(who, "AssumeRole", RoleArn=ROLE, RoleSessionName="ann", **parameters)
        assert status == 200, told
        return Credentials(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def told(response: Response) -> tuple[int, str | None, str]:
    assert isinstance(response.body, bytes)
    body = msgspec.json.decode(response.body)
    return response.status, response.headers.get("x-amzn-ErrorType"), body.get("message") or body.get("Message")


def denied(who: str, action: str, resource: str, reason: str = "") -> tuple[int, str, str]:
    reason = reason or f"because no identity-based policy allows the {action} action"
    message = f"User: {who} is not authorized to perform: {action} on resource: {resource} {reason}"
    return 403, "AccessDeniedException", message


ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"


# Keys...


async def test_a_key_without_a_policy_may_do_everything(node: Node) -> None:
    assert (await node.call(node.key())).status == 200


async def test_a_key_may_do_what_its_policy_allows_and_nothing_else(node: Node) -> None:
    who = node.key(allow())
    assert (await node.call(who)).status == 200
    other = INVOKE.replace("/f/", "/g/")
    assert told(await node.call(who, other)) == denied(ANN, "lambda:InvokeFunction", OTHER)
    assert node.operations.calls == ["Invoke"]


async def test_a_qualifier_is_another_resource(node: Node) -> None:
    answer = told(await node.call(node.key(allow()), f"{INVOKE}?Qualifier=live"))
    assert answer == denied(ANN, "lambda:InvokeFunction", f"{FUNCTION}:live")


async def test_an_explicit_deny_is_told_as_one(node: Node) -> None:
    who = node.key(allow("*", "*"), {**allow(), "Effect": "Deny"})
    reason = "with an explicit deny in an identity-based policy"
    assert told(await node.call(who)) == denied(ANN, "lambda:InvokeFunction", FUNCTION, reason)


async def test_a_function_is_made_only_with_a_role_that_may_be_passed_on(node: Node) -> None:
    body = json.dumps({"FunctionName": "f", "Role": ROLE, "Code": {"ZipFile": ""}}).encode()
    target = "/2015-03-31/functions"
    make = allow("lambda:CreateFunction")
    assert told(await node.call(node.key(make), target, body)) == denied(ANN, "iam:PassRole", ROLE)
    passing = allow("iam:PassRole", ROLE, Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}})
    assert (await node.call(node.key(make, passing), target, body)).status == 201


async def test_a_condition_is_asked_of_the_call(node: Node) -> None:
    def conditional(operator: str, key: str, value: Any) -> Credentials:
        return node.key(allow(Condition={operator: {key: value}}))

    assert (await node.call(conditional("IpAddress", "aws:SourceIp", "10.0.0.0/24"))).status == 200
    assert (await node.call(conditional("NotIpAddress", "aws:SourceIp", "10.0.0.0/24"))).status == 403
    assert (await node.call(conditional("StringEquals", "aws:RequestedRegion", "eu-west-1"))).status == 200
    assert (await node.call(conditional("StringEquals", "aws:username", "ann"))).status == 200
    assert (await node.call(conditional("Bool", "aws:SecureTransport", "true"))).status == 403
    assert (await node.call(conditional("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"))).status == 200
    assert (await node.call(conditional("Null", "aws:TokenIssueTime", "false"))).status == 403


async def test_a_denial_is_in_the_form_of_the_service(node: Node) -> None:
    headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"}
    response = await node.call(node.key(allow()), "/", b"{}", "logs", headers)
    assert isinstance(response.body, bytes)
    body = msgspec.json.decode(response.body)
    _, code, message = denied(ANN, "logs:DescribeLogGroups", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group::log-stream:")
    assert (response.status, body) == (400, {"__type": code, "message": message})


async def test_everyone_may_ask_who_they_are(node: Node) -> None:
    status, answer = await node.sts(node.key({**allow("*", "*"), "Effect": "Deny"}), "GetCallerIdentity")
    assert (status, answer["Arn"]) == (200, ANN)


async def test_a_resources_policy_allows_where_the_callers_says_nothing(tmp_path: Path) -> None:
    policy = parse(document(allow(Principal={"AWS": ANN})), Kind.RESOURCE)
    node = Node(tmp_path, resource_policy=policy)
    assert (await node.call(node.key(allow("s3:*", "*")))).status == 200
    assert (await node.call(node.session())).status == 403


# Roles...


async def test_temporary_credentials_have_their_roles_rights(node: Node) -> None:
    node.roles.create(Role("r", ACCOUNT, policies={"default": document(allow())}))
    who = await node.assume(node.key())
    assert (await node.call(who)).status == 200
    assert (await node.call(who, body=b"", presigned=True)).status == 200
    other = INVOKE.replace("/f/", "/g/")
    assert told(await node.call(who, other)) == denied(SESSION, "lambda:InvokeFunction", OTHER)
    status, answer = await node.sts(who, "GetCallerIdentity")
    assert (status, answer["Arn"], answer["Account"], answer["UserId"][-4:]) == (200, SESSION, ACCOUNT, ":ann")


async def test_a_role_that_is_not_known_has_no_rights(node: Node) -> None:
    who = node.session()
    assert told(await node.call(who)) == denied(SESSION, "lambda:InvokeFunction", FUNCTION)
    node.roles.create(Role("r", ACCOUNT, policies={"default": document(allow())}))
    assert (await node.call(who)).status == 200
    node.roles.delete(ACCOUNT, "r")
    assert (await node.call(who)).status == 403


async def test_a_role_held_by_another_accounts_function_has_no_rights(node: Node) -> None:
    node.roles.create(Role("r", ACCOUNT, policies={"default": document(allow())}))
    assert (await node.call(node.session(holder=ACCOUNT))).status == 200
    assert (await node.call(node.session(holder="444455556666"))).status == 403


async def test_a_session_policy_only_takes_away(node: Node) -> None:
    node.roles.create(Role("r", ACCOUNT, policies={"default": document(allow())}))
    everything, nothing = json.dumps(document(allow("*", "*"))), json.dumps(document(allow("s3:*", "*")))
    wide, narrow = [await node.assume(node.key(), Policy=policy) for policy in (everything, nothing)]
    assert (await node.call(wide)).status == 200
    assert (await node.call(wide, INVOKE.replace("/f/", "/g/"))).status == 403
    reason = "because no session policy allows the lambda:InvokeFunction action"
    assert told(await node.call(narrow)) == denied(SESSION, "lambda:InvokeFunction", FUNCTION, reason)


async def test_expired_credentials_are_told_so(node: Node) -> None:
    late = Sessions(bytes(32), ManualClock(SystemClock().now() - 1_000)).issue(ROLE, "ann", 900)
    who = Credentials(late.access_key_id, late.secret_access_key, late.session_token)
    words = "The security token included in the request is expired"
    assert told(await node.call(who)) == (403, "ExpiredTokenException", words)
    status, answer = await node.sts(who, "GetCallerIdentity")
    assert (status, answer["Code"], answer["Message"]) == (403, "ExpiredToken", words)


async def test_credentials_that_are_not_ours_are_refused(node: Node) -> None:
    refused = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    good = node.session()
    foreign = Sessions(b"x" * 32, SystemClock()).issue(ROLE, "ann", 900)
    for who in (
        Credentials(good.access_key, good.secret_key),
        Credentials(good.access_key, good.secret_key, "nonsense"),
        Credentials(foreign.access_key_id, foreign.secret_access_key, foreign.session_token),
    ):
        assert told(await node.call(who)) == refused
    forged = Credentials(good.access_key, "a" * 40, good.token)
    assert told(await node.call(forged))[:2] == (403, "InvalidSignatureException")


# Assuming roles...


async def refused_role(node: Node, who: Credentials, **parameters: Any) -> tuple[int, str, str]:
    asked = {"RoleArn": ROLE, "RoleSessionName": "ann", **parameters}
    status, answer = await node.sts(who, "AssumeRole", **asked)
    return status, answer["Code"], answer["Message"]


NOT_ALLOWED = (403, "AccessDenied", f"User: {ANN} is not authorized to perform: sts:AssumeRole on resource: {ROLE}")


async def test_a_role_that_is_not_there_is_not_told_from_one_that_may_not_be_assumed(node: Node) -> None:
    who = node.key()
    assert await refused_role(node, who) == NOT_ALLOWED
    other = {"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "sts:AssumeRole"}
    node.roles.create(Role("r", ACCOUNT, trust=document(other)))
    assert await refused_role(node, who) == NOT_ALLOWED


async def test_within_its_account_a_role_is_assumed_by_who_may(node: Node) -> None:
    node.roles.create(Role("r", ACCOUNT))
    assert await refused_role(node, node.key(allow())) == NOT_ALLOWED
    assert (await node.assume(node.key(allow("sts:AssumeRole", ROLE)))).token


async def test_a_trust_policy_lets_another_account_in(node: Node) -> None:
    other = {
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "42"}},
    }
    node.roles.create(Role("r", ACCOUNT, trust=document(other)))
    who = node.key(account="444455556666")
    assert (await refused_role(node, who))[0] == 403
    assert (await node.assume(who, ExternalId="42")).token


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ({"DurationSeconds": 7_200}, (400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")),
        ({"Policy": "{"}, (400, "MalformedPolicyDocument", "This policy contains invalid Json")),
        ({"Policy": " " * 4_096}, (400, "PackedPolicyTooLarge", "Packed policy consumes 200% of allotted space, please use smaller policy.")),
        ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:user/ann"}, (400, "ValidationError", f"arn:aws:iam::{ACCOUNT}:user/ann is invalid")),
        ({"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/Admin"}, (404, "NoSuchEntity", "Policy arn:aws:iam::aws:policy/Admin does not exist or is not attachable.")),
        ({"Tags.member.1.Key": "a", "Tags.member.1.Value": "b"}, (400, "ValidationError", "The parameter Tags of AssumeRole is not served by this version of Pasture.")),
    ],
)  # fmt: skip
async def test_what_a_session_cannot_be_is_refused(node: Node, parameters: Any, answer: tuple[int, str, str]) -> None:
    node.roles.create(Role("r", ACCOUNT))
    assert await refused_role(node, node.key(), **parameters) == answer


async def test_a_role_assumed_by_a_role_lasts_an_hour_at_most(node: Node) -> None:
    everything = {"default": document(allow("*", "*"))}
    node.roles.create(Role("r", ACCOUNT, policies=everything, session_seconds=43_200))
    answer = await refused_role(node, node.session(), DurationSeconds=3_601)
    words = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
    assert answer == (400, "ValidationError", words)
    assert (await node.assume(node.session(), DurationSeconds=3_600)).token


# The open door...


async def test_the_open_door_denies_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path, auth=False)
    assert (await node.call(node.key({**allow("*", "*"), "Effect": "Deny"}))).status == 200
    who = await node.assume(Credentials("test", "test"), DurationSeconds=43_200)
    assert (await node.call(who)).status == 200
    assert (await node.sts(who, "GetCallerIdentity"))[1]["Arn"] == SESSION
    assert (await node.call(Credentials("ASIA", "x", "left over from elsewhere"))).status == 200
