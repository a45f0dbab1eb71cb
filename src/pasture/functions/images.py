"""Container images of functions: what AWS says when there is no such image, at once or when it is pulled."""

import logging

from pasture.domain.errors import AccessDenied, ApiError, InvalidParameterValue, ServiceError
from pasture.domain.function import FunctionVersion, Reason
from pasture.images.errors import (
    ImageDenied,
    ImageError,
    ImageInvalid,
    ImageNotFound,
    ImageUnreachable,
    ImageUnsupported,
)
from pasture.images.images import FoundImage, Images
from pasture.images.pulling import BadLayer
from pasture.images.reference import BadReference

_log = logging.getLogger(__name__)

# Recorded from AWS by its users.
_DENIED = "Lambda does not have permission to access the ECR image. Check the ECR permissions."


async def resolve(images: Images, uri: str, architecture: str) -> FoundImage:
    """Raises ApiError."""
    try:
        return await images.resolve(uri, architecture)
    except BadReference as error:
        raise _not_valid(uri) from error
    except ImageError as error:
        _log.warning("the image %s is refused: %s", uri, error)
        raise _refusal(uri, error) from error


async def pull(images: Images, version: FunctionVersion) -> Reason | None:
    """Have the image of a version here; what keeps it from that for good. Raises OSError of the disk."""
    try:
        await images.ensure(version.code.sha256, version.resolved_image_uri, patient=True)
    except ImageError as error:
        _log.warning("the image %s of %s cannot be had: %s", version.resolved_image_uri, version.arn, error)
        return _reason(version.resolved_image_uri, error)
    return None


def _refusal(uri: str, error: ImageError) -> ApiError:
    match error:
        case ImageNotFound():
            return InvalidParameterValue(f"Source image {uri} does not exist. Provide a valid source image.")
        case ImageDenied():
            return AccessDenied(_DENIED)
        case ImageUnsupported():
            return InvalidParameterValue(_unsupported(uri))
        case ImageUnreachable():
            return ServiceError(f"The registry of the source image {uri} does not answer: {error}.")
        case _:
            return _not_valid(uri, f" It cannot be used here: {error}.")


def _reason(uri: str, error: ImageError) -> Reason:
    match error:
        case ImageNotFound():
            return Reason(f"The image {uri} does not exist any more: {error}.", "ImageDeleted")
        case ImageDenied():
            return Reason(_DENIED, "ImageAccessDenied")
        case BadLayer():
            words = f"ImageLayerFailure: UnsupportedImageLayerDetected - Layer Digest {error.digest}"
            return Reason(f"{words} ({error})", "InvalidImage")
        case ImageUnsupported():
            return Reason(_unsupported(uri), "InvalidImage")
        case ImageInvalid():
            return Reason(f"The image {uri} cannot be used: {error}.", "InvalidImage")
        case _:
            return Reason(f"The image {uri} cannot be had: {error}. Update the function's code.", "InternalError")


def _unsupported(uri: str) -> str:
    return f"The image manifest, config or layer media type for the source image {uri} is not supported."


def _not_valid(uri: str, why: str = "") -> InvalidParameterValue:
    return InvalidParameterValue(f"Source image {uri} is not valid. Provide a valid source image.{why}")
