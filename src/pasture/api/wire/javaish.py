"""Values as AWS's error messages show them: the way Java prints. Pure."""

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

# A message says which value is wrong; it need not return a whole deployment package.
LONGEST_SHOWN = 4096


def member_name(name: str) -> str:
    """`FunctionName` is shown as `functionName`, `KMSKeyArn` as `kMSKeyArn`."""
    return name[:1].lower() + name[1:]


def show(shape: Shape, value: Any) -> str:
    text = _text(shape, value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def _text(shape: Shape, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(shape, StructureShape):
        inside = ", ".join(
            f"{member_name(name)}={_text(member, value.get(name))}" for name, member in shape.members.items()
        )
        return f"{shape.name}({inside})"
    if isinstance(shape, ListShape):
        return "[" + ", ".join(_text(shape.member, item) for item in value) + "]"
    if isinstance(shape, MapShape):
        return "{" + ", ".join(f"{key}={_text(shape.value, item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if shape.type_name in {"double", "float"}:
        return repr(float(value))
    return str(value)
