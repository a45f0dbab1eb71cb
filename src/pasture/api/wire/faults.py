"""What the model says of each error: its HTTP status and the name of its message. Pure."""

from dataclasses import dataclass, field

from botocore.model import ServiceModel, StructureShape

from pasture.domain.errors import ApiError


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    status: int | None
    message_key: str
    headers: dict[str, str] = field(default_factory=dict)
    """Members that go into a header: `retryAfterSeconds` -> `Retry-After`."""


class Faults:
    def __init__(self, model: ServiceModel) -> None:
        self._declared: dict[str, Declared] = {}
        for name in model.shape_names:
            shape = model.shape_for(name)
            if isinstance(shape, StructureShape) and shape.metadata.get("exception"):
                self._declared[name] = _declared(shape)

    def declared(self, error: ApiError) -> Declared | None:
        return self._declared.get(error.code)


def _declared(shape: StructureShape) -> Declared:
    about = shape.metadata.get("error", {})
    key = next((name for name in shape.members if name.lower() == "message"), "message")
    headers = {
        name: member.serialization["name"]
        for name, member in shape.members.items()
        if member.serialization.get("location") == "header"
    }
    return Declared(about.get("code", shape.name), about.get("httpStatusCode"), key, headers)
