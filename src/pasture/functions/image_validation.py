"""Which rules hold for a function with the package type `Image`, beside those for all. Pure.

Words without a source are ours; the others are AWS's, recorded or reported by its users.
"""

from collections.abc import Mapping
from typing import Any

from pasture.domain.errors import InvalidParameterValue

Request = Mapping[str, Any]

IMAGE = "Image"
_OTHER_CODE = ("ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion", "S3ObjectStorageMode")
# The quota "Container image settings size".
_SETTINGS_BYTES = 16 * 1024


def check_source(code: Request, doing: str) -> None:
    if not code.get("ImageUri") or any(code.get(member) is not None for member in _OTHER_CODE):
        raise InvalidParameterValue(f"Please provide ImageUri when {doing} a function with packageType Image.")
    if code.get("SourceKMSKeyArn"):
        raise InvalidParameterValue(
            f"Please don't provide SourceKMSKeyArn when {doing} a function with packageType Image."
        )


def check_members(request: Request) -> None:
    """Of CreateFunction and UpdateFunctionConfiguration."""
    if any(request.get(member) for member in ("Runtime", "Handler", "Layers")):
        raise InvalidParameterValue(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    if request.get("CodeSigningConfigArn"):
        raise InvalidParameterValue("Code signing is not supported for functions with packageType Image.")
    _check_settings(request.get("ImageConfig") or {})


def _check_settings(config: Request) -> None:
    words = [*(config.get("EntryPoint") or ()), *(config.get("Command") or ()), config.get("WorkingDirectory") or ""]
    if any("\0" in word or any("\ud800" <= character <= "\udfff" for character in word) for word in words):
        raise InvalidParameterValue("ImageConfig has a NUL character, or is not valid Unicode.")
    size = sum(len(word.encode()) for word in words)
    if size > _SETTINGS_BYTES:
        raise InvalidParameterValue(
            f"The container image settings of ImageConfig have {size} bytes; {_SETTINGS_BYTES} are the most."
        )
