"""The whole catalog behind its operations: what a client sends, and the whole of what it gets; nothing is run."""

import io
import itertools
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from pasture.api.account_operations import AccountOperations
from pasture.api.aliases_operations import AliasesOperations
from pasture.api.call import Call, Principal
from pasture.api.functions_operations import FunctionsOperations
from pasture.api.layers_operations import LayersOperations
from pasture.api.settings_operations import settings_operations
from pasture.api.versions_operations import VersionsOperations
from pasture.domain.errors import ApiError
from pasture.domain.limits import Limits
from pasture.domain.scope import Scope
from pasture.functions.activation import Activation
from pasture.functions.catalog import Catalog
from pasture.functions.event_source_settling import MappingSettling
from pasture.functions.package import Packages
from pasture.functions.s3 import S3
from pasture.functions.s3_options import S3Options
from pasture.functions.sources import Sources
from pasture.http.message import Headers, Request
from pasture.kit.clock import ManualClock
from pasture.runtimes.fake import FakeFamily
from pasture.runtimes.registry import Runtimes
from pasture.signing.profiles import Profiles
from pasture.signing.verifying import inspect
from pasture.store.blobs import Blobs
from pasture.store.documents import Documents
from pasture.store.kinds.memory import MemoryDocuments

MODEL = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
ROLE = "arn:aws:iam::000000000000:role/r"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
HERE = Scope()
WHEN = "2023-11-14T22:13:20.000+0000"


def zip_of(files: str | Mapping[str, str]) -> bytes:
    """The same bytes for the same files, at any time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in ({"main.py": files} if isinstance(files, str) else files).items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


# Answered otherwise than the model says, as AWS does.
_OTHER_THAN_MODELLED = frozenset({"DeleteFunction", "GetFunctionCodeSigningConfig"})


def counting() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012}"


class Management:
    def __init__(self, documents: Documents, directory: Path, limits: Limits, s3_endpoint: str = "") -> None:
        self.documents = documents
        self.clock = ManualClock()
        self.packages = Packages(directory / "packages", Blobs(directory / "blobs"), limits)
        self.profiles = Profiles(directory / "signer", self.clock)
        self.catalog = Catalog(
            documents,
            self.packages,
            limits=limits,
            clock=self.clock,
            new_id=counting(),
            inspect=lambda package: inspect(package, self.profiles),
        )
        runtimes = Runtimes([FakeFamily()])
        self.activation = Activation(self.catalog, self.packages, runtimes)
        self.settling = MappingSettling(self.catalog.event_source_mappings)

        self.lacking: dict[tuple[str, str], str] = {}
        """What roles are not allowed: (role, target) → action."""

        def lacks(role: str, target: str, _holder: str) -> str:
            return self.lacking.get((role, target), "")

        def link(base: str, sha256: str, name: str) -> str:
            return f"{base}/{sha256[:8]}/{name}"

        sources = Sources(self.packages, S3(S3Options(s3_endpoint), limits.code_unzipped_bytes))
        self._holders = [
            FunctionsOperations(self.catalog, runtimes, link, sources, limits, architecture="x86_64", lacks=lacks),
            VersionsOperations(self.catalog, runtimes, limits),
            AliasesOperations(self.catalog, limits),
            LayersOperations(self.catalog.layers, link, sources),
            AccountOperations(self.catalog, limits),
            *settings_operations(self.catalog, self.clock, counting(), lacks=lacks),
        ]

    async def call(self, operation: str, *, scope: Scope = HERE, **request: Any) -> dict[str, Any]:
        """Every answer fits the model."""
        principal = Principal(account=scope.account, arn=f"arn:aws:iam::{scope.account}:root")
        call = Call("r", operation, scope, principal, Request("GET", "/", Headers()), "http://here:9")
        method = next(getattr(h, xform_name(operation)) for h in self._holders if hasattr(h, xform_name(operation)))
        answer: dict[str, Any] = await method(call, request)
        shape = MODEL.operation_model(operation).output_shape
        if shape is not None and operation not in _OTHER_THAN_MODELLED:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()
        return answer

    async def refusal(self, operation: str, **request: Any) -> tuple[str, str]:
        with pytest.raises(ApiError) as failure:
            await self.call(operation, **request)
        return failure.value.code, failure.value.message

    async def created(self, name: str = "f", code: str = "one", **changes: Any) -> dict[str, Any]:
        """CreateFunction's answer; when this returns, the function is active."""
        request = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "main.h",
            "Role": ROLE,
            "Code": {"ZipFile": zip_of(code)},
        }
        answer = await self.call("CreateFunction", **{**request, **changes})
        await self.activation.idle()
        return answer

    async def updated(self, name: str = "f", **changes: Any) -> None:
        await self.call("UpdateFunctionConfiguration", FunctionName=name, **changes)
        await self.activation.idle()

    async def published(self, name: str = "f", **request: Any) -> str:
        """The number of the version, which is active when this returns."""
        answer = await self.call("PublishVersion", FunctionName=name, **request)
        await self.activation.idle()
        number: str = answer["Version"]
        return number

    async def layer(self, name: str = "l", files: str | Mapping[str, str] = "one", **request: Any) -> str:
        content = {"ZipFile": zip_of(files)}
        answer = await self.call("PublishLayerVersion", LayerName=name, Content=content, **request)
        arn: str = answer["LayerVersionArn"]
        return arn


@asynccontextmanager
async def management(
    directory: Path, documents: Documents | None = None, limits: Limits | None = None, s3_endpoint: str = ""
) -> AsyncIterator[Management]:
    running = Management(documents or MemoryDocuments(), directory, limits or Limits(), s3_endpoint)
    await running.packages.open()
    running.catalog.open()
    await running.activation.open()
    await running.settling.open()
    try:
        yield running
    finally:
        await running.settling.close()
        await running.activation.close()
        running.catalog.close()
