"""Policy documents as commands take them: from a file, or as they are typed."""

from pathlib import Path
from typing import Any

from pasture.cli.failure import Failure
from pasture.iam import policy
from pasture.iam.errors import MalformedPolicy
from pasture.iam.policy import Kind


def given(file: Path | None, text: str | None, kind: Kind = Kind.IDENTITY) -> dict[str, Any] | None:
    """The document, checked; None when neither is given."""
    if file is not None and text is not None:
        raise Failure("Give --policy or --policy-json, not both.")
    if file is not None:
        return _checked(file.read_text(), str(file), kind)
    return None if text is None else _checked(text, "The policy", kind)


def required(file: Path | None, text: str | None) -> dict[str, Any]:
    document = given(file, text)
    if document is None:
        raise Failure("Give the policy document with --policy FILE or --policy-json JSON.")
    return document


def _checked(text: str, where: str, kind: Kind) -> dict[str, Any]:
    try:
        content = policy.read(text)
        policy.parse(content, kind)
    except MalformedPolicy as error:
        raise Failure(f"{where} is no policy that can be used: {error.message}") from error
    return dict(content)
