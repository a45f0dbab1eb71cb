"""The operations of a service, as a wire reads, checks and writes them: made from the model when first needed."""

from typing import Any

from botocore.model import ServiceModel, StructureShape

from pasture.api.wire.parsing import Parsers
from pasture.api.wire.rendering import Renderers
from pasture.api.wire.validation import Validator
from pasture.domain.errors import UnknownOperation


class Checks:
    """The validators of a service's operations."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._validators: dict[str, Validator] = {}

    def prepare(self, operation: str) -> None:
        if operation not in self._validators:
            model = self._model
            self._validators[operation] = Validator(model.service_name, model.operation_model(operation))

    def __call__(self, operation: str, found: dict[str, Any]) -> dict[str, Any]:
        """What was found, if it is as the model wants it. Raises ValidationError."""
        self.prepare(operation)
        self._validators[operation].validate(found)
        return dict(found)


class Operations:
    """For protocols with one body in and one out, that differ in what its values are."""

    def __init__(self, model: ServiceModel, parsers: Parsers, renderers: Renderers) -> None:
        self._model = model
        self._parsers = parsers
        self._renderers = renderers
        self._check = Checks(model)
        self._names = frozenset(model.operation_names)

    def prepare(self, operation: str) -> None:
        self._check.prepare(operation)
        model = self._model.operation_model(operation)
        if model.input_shape is not None:
            self._parsers.structure(model.input_shape)
        if model.output_shape is not None:
            self._renderers.structure(model.output_shape)

    def known(self, operation: str, shown: str) -> str:
        """Raises UnknownOperation, with what the client is shown of it."""
        if operation not in self._names:
            raise UnknownOperation(f"The operation {shown} is not one of this service.")
        return operation

    def read(self, operation: str, content: Any) -> dict[str, Any]:
        """Raises SerializationError and ValidationError; without content, what is required lacks."""
        shape = self._model.operation_model(operation).input_shape
        found = {}
        if shape is not None and content is not None:
            found = self._parsers.structure(shape)(content)
        return self._check(operation, found)

    def rendered(self, operation: str, output: dict[str, Any]) -> tuple[StructureShape | None, Any]:
        """With the output's shape; without one there is nothing to write."""
        shape = self._model.operation_model(operation).output_shape
        return shape, None if shape is None else self._renderers.structure(shape)(output)
