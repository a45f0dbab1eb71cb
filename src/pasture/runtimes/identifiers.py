"""Every managed runtime AWS has had, by identifier, and what becomes of a function that asks for it. Pure.

Source: the `Runtime` enumeration of the service model, AWS's recorded answers, and its runtimes page of November 2026.
"""

import hashlib

from pasture.domain.scope import Scope

# In the order in which AWS lists them to whoever asks for one that is not among them; the six at the end are newer
# than that recording.
ACCEPTED = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
    "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
    "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
    "nodejs26.x", "python3.15", "ruby4.0", "java8.al2023", "java11.al2023", "java17.al2023",
)  # fmt: skip
"""What CreateFunction still takes on AWS."""

RETIRED = frozenset((
    "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
    "python2.7", "python3.6", "python3.7", "java8", "go1.x", "provided", "ruby2.5", "ruby2.7",
    "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1",
))  # fmt: skip
"""AWS knows them and takes no new function or update with them."""

CUSTOMER_MANAGED = "custom"
"""Selects a customer-managed runtime through RuntimeConfig."""


def runtime_version_arn(region: str, identifier: str, version: str) -> str:
    """As `RuntimeVersionConfig` and INIT_START show it: the same for the same interpreter, another for another."""
    digest = hashlib.sha256(f"{identifier} {version}".encode()).hexdigest()
    return f"arn:{Scope(region=region).partition}:lambda:{region}::runtime:{digest}"
