"""Why there is no image: each with words for people, without what the image is called."""


class ImageError(Exception):
    """None of these passes by itself, but `ImageUnreachable`."""


class ImageNotFound(ImageError):
    """Neither this repository nor this image in it is there."""


class ImageDenied(ImageError):
    """The registry does not give it to this server, or the operator does not."""


class ImageInvalid(ImageError):
    """It is there and cannot be used: the message says what is wrong with it."""


class ImageUnsupported(ImageError):
    """Its manifest, its configuration or a layer is of a kind that is not known here."""


class ImageUnreachable(ImageError):
    """The registry does not answer, or answers that it cannot now."""
