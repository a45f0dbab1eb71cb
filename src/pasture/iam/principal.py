"""Who calls, and what their policies are."""

from dataclasses import dataclass

from pasture.domain.scope import DEFAULT_ACCOUNT
from pasture.iam.policy import Policy
from pasture.iam.principals import Caller


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed the call. An open door knows no one and answers for the account's root."""

    access_key_id: str = ""
    account: str = DEFAULT_ACCOUNT
    """Empty for who belongs to none: a service, an anonymous caller."""
    arn: str = f"arn:aws:iam::{DEFAULT_ACCOUNT}:root"
    user_id: str = DEFAULT_ACCOUNT
    policies: tuple[Policy, ...] | None = None
    """None: it may do everything in its account, like the account's root."""
    session_policy: Policy | None = None
    """What the one who assumed the role restricted the session to."""
    role_arn: str = ""
    """Of a session of that role."""
    token_issued: float | None = None
    """Seconds since the epoch, of temporary credentials."""
    service: str = ""

    @property
    def caller(self) -> Caller:
        """As policies name it."""
        return Caller(self.arn, self.account, self.role_arn, self.service)
