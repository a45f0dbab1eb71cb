"""Which S3 a server reads code from."""

from dataclasses import dataclass

AMAZON = "aws"
"""In place of an endpoint's URL: S3 itself."""


@dataclass(frozen=True, slots=True)
class S3Options:
    endpoint: str = ""
    """A URL, or `aws`; without one there is no S3."""
    region: str = ""
    """That requests are signed for; the region of the function, as on AWS, when it is empty."""
    profile: str = ""
    """Of AWS's shared configuration files, for credentials; botocore's usual search for them when it is empty."""
