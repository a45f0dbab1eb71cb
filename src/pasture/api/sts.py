"""STS: who am I, and temporary credentials of a role."""

from typing import TYPE_CHECKING, Any, ClassVar

from pasture.api.auth.authorisation import Authorizer
from pasture.domain.errors import AccessDenied, ApiError, ValidationError
from pasture.iam import policy
from pasture.iam.errors import MalformedPolicy
from pasture.iam.roles import DEFAULT_SESSION_SECONDS, Role, Roles, parts_of
from pasture.iam.sessions import Credentials, Sessions, role_id, session_arn

if TYPE_CHECKING:
    from pasture.api.call import Call

# The longest policy that a session may be restricted by, in characters.
_LONGEST_POLICY = 2_048
_CHAINED_SECONDS = 3_600


class NoSuchPolicy(ApiError):
    """Undeclared in STS's model: AWS answers IAM's error."""

    code = "NoSuchEntity"
    status = 404


class PolicyTooLarge(ApiError):
    code = "PackedPolicyTooLargeException"
    status = 400


class CallerIdentity:
    async def get_caller_identity(self, call: "Call", _request: dict[str, Any]) -> dict[str, Any]:
        who = call.principal
        return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}


class AssumingRoles:
    """Without an authoriser (`--no-auth`) anyone may assume any role, one that nobody has made too."""

    partly: ClassVar = {"AssumeRole": "PolicyArns, tags, SourceIdentity and MFA are refused"}

    def __init__(self, roles: Roles, sessions: Sessions, authorizer: Authorizer | None) -> None:
        self._roles = roles
        self._sessions = sessions
        self._authorizer = authorizer

    async def assume_role(self, call: "Call", request: dict[str, Any]) -> dict[str, Any]:
        arn, name = request["RoleArn"], request["RoleSessionName"]
        seconds = request.get("DurationSeconds", DEFAULT_SESSION_SECONDS)
        parts = parts_of(arn)
        if parts is None:
            raise ValidationError(f"{arn} is invalid")
        _check_supported(request)
        restriction = _session_policy(request)
        role = self._roles.find(arn)
        if self._authorizer is not None:
            self._check(self._authorizer, call, role, request)
        _check_duration(call, role, seconds)
        credentials = self._sessions.issue(arn, name, seconds, policy=restriction)
        account, role_name = parts
        return {
            "Credentials": _shown(credentials),
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role_id(arn)}:{name}",
                "Arn": session_arn(account, role_name, name),
            },
            **({"PackedPolicySize": _percent(restriction)} if restriction else {}),
        }

    def _check(self, authorizer: Authorizer, call: "Call", role: Role | None, request: dict[str, Any]) -> None:
        """AWS's answer does not tell a role that is not there from one that may not be assumed."""
        arn = request["RoleArn"]
        allowed = False
        if role is not None:
            context = {**authorizer.context(call), "sts:rolesessionname": (request["RoleSessionName"],)}
            if "ExternalId" in request:
                context["sts:externalid"] = (request["ExternalId"],)
            allowed = authorizer.decide(
                call.principal, "sts:AssumeRole", arn, context, role.trusts, resource_must_agree=True
            ).allowed
        if not allowed:
            who = call.principal.arn
            raise AccessDenied(f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}")


def _check_supported(request: dict[str, Any]) -> None:
    """What would change what the session may do, or what policies are asked, is refused rather than left out."""
    if request.get("PolicyArns"):
        arn = request["PolicyArns"][0].get("arn", "")
        raise NoSuchPolicy(f"Policy {arn} does not exist or is not attachable.")
    for member in ("SerialNumber", "TokenCode", "Tags", "TransitiveTagKeys", "SourceIdentity", "ProvidedContexts"):
        if request.get(member):
            raise ValidationError(f"The parameter {member} of AssumeRole is not served by this version of Pasture.")


def _session_policy(request: dict[str, Any]) -> str:
    text = str(request.get("Policy") or "")
    if len(text) > _LONGEST_POLICY:
        raise PolicyTooLarge(f"Packed policy consumes {_percent(text)}% of allotted space, please use smaller policy.")
    if text:
        try:
            policy.parsed(text)
        except MalformedPolicy as error:
            words = "This policy contains invalid Json" if error.message.startswith("Syntax") else error.message
            raise MalformedPolicy(words) from error
    return text


def _check_duration(call: "Call", role: Role | None, seconds: int) -> None:
    if call.principal.role_arn and seconds > _CHAINED_SECONDS:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if role is not None and seconds > role.session_seconds:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


def _percent(text: str) -> int:
    return -(-100 * len(text) // _LONGEST_POLICY)


def _shown(credentials: Credentials) -> dict[str, Any]:
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "Expiration": credentials.expires,
    }
