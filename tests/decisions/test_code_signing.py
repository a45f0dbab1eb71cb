"""Which packages may be deployed, and how long signatures are good."""

from datetime import UTC, datetime

import pytest

from pasture.domain.code_signing import (
    TAMPERED,
    UNSIGNED,
    CodeSignature,
    CodeSigningConfig,
    ConfigRef,
    Finding,
    Inspection,
    judge,
    parse_config_arn,
)
from pasture.domain.scope import Scope
from pasture.kit.errors import OperatorError
from pasture.signing.validity import check, expiry

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/builds/aBcDeFgHi1"
OTHER = PROFILE.replace("builds", "others")
CONFIG = CodeSigningConfig(Scope(), "csc-00000000000000001", (PROFILE,), 0.0)


def signed(profile: str = PROFILE, *, expires: float = 100.0, revoked: bool = False) -> Inspection:
    return Inspection(CodeSignature(profile, "arn:job"), expires=expires, revoked=revoked)


def test_a_package_signed_by_an_allowed_profile_may_be_deployed() -> None:
    assert judge(signed(), CONFIG, now=99) is None


@pytest.mark.parametrize(
    ("found", "finding"),
    [
        (UNSIGNED, Finding.MISMATCH),
        (TAMPERED, Finding.TAMPERED),
        (signed(OTHER), Finding.MISMATCH),
        (signed(expires=50), Finding.EXPIRED),
        (signed(revoked=True), Finding.REVOKED),
        (signed(OTHER, expires=50, revoked=True), Finding.EXPIRED),
        (signed(OTHER, revoked=True), Finding.MISMATCH),
    ],
)
def test_integrity_is_checked_before_expiry_and_that_before_mismatch_and_revocation(
    found: Inspection, finding: Finding
) -> None:
    assert judge(found, CONFIG, now=50) is finding


def test_a_configuration_has_one_arn() -> None:
    ref = ConfigRef(Scope("111122223333", "eu-west-1"), "csc-0123456789abcdef0")
    assert parse_config_arn(ref.arn) == ref
    for other in ("arn:c", ref.arn + "0", ref.arn.replace("arn:aws:", "arn:aws-cn:"), ref.arn.replace("csc", "CSC")):
        assert parse_config_arn(other) is None


@pytest.mark.parametrize(
    ("validity", "end"),
    [
        ("1d", "2024-02-01"),
        ("1m", "2024-02-29"),
        ("13m", "2025-02-28"),
        ("11m", "2024-12-31"),
        ("1y", "2025-01-31"),
        ("135m", "2035-04-30"),
    ],
)
def test_validity_is_counted_by_the_calendar(validity: str, end: str) -> None:
    start = datetime(2024, 1, 31, 10, 11, 12, tzinfo=UTC)
    ends = datetime.fromtimestamp(expiry(validity, start.timestamp()), UTC)
    assert ends == datetime.fromisoformat(end).replace(hour=10, minute=11, second=12, tzinfo=UTC)


@pytest.mark.parametrize("validity", ["136m", "12y", "4109d", "99999y"])
def test_a_signature_is_good_for_135_months_at_most(validity: str) -> None:
    with pytest.raises(OperatorError, match="too long"):
        check(validity)


@pytest.mark.parametrize("validity", ["", "0d", "12", "m", "1w", "-1d", "1.5y", "\u0661d"])
def test_a_validity_is_a_number_of_days_months_or_years(validity: str) -> None:
    with pytest.raises(OperatorError, match="no validity period"):
        check(validity)
