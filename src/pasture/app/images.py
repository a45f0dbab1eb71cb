"""Composes container images: the store, how they are pulled, and what of one an environment is made of."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pasture.domain.function import FunctionVersion, Reason
from pasture.environments.image import ImageProgram, directory_of, image_program
from pasture.functions.images import pull
from pasture.images import inside
from pasture.images.errors import ImageError
from pasture.images.images import ImageLimits, Images
from pasture.settings import Settings

_EXTENSIONS = ("opt", "extensions")
# Over these comes what the environment has of its own.
_OWN = ("/tmp", "/proc", "/dev")  # noqa: S108  an environment's


@dataclass(frozen=True, slots=True)
class ImageFunctions:
    """`no_images`: why this server runs none; empty when it does."""

    images: Images
    no_images: str = ""

    @property
    def source(self) -> Images | None:
        """For `Sources`: where functions can come from."""
        return None if self.no_images else self.images

    async def pull(self, version: FunctionVersion) -> Reason | None:
        """For `Activation`."""
        return Reason(self.no_images, "InvalidImage") if self.no_images else await pull(self.images, version)

    async def program(self, version: FunctionVersion) -> ImageProgram:
        """What an environment of this version runs. Raises FileNotFoundError when the image is gone for good."""
        try:
            stored = await self.images.ensure(version.code.sha256, version.resolved_image_uri)
        except ImageError as error:
            raise FileNotFoundError(f"the image {version.resolved_image_uri} is not here any more: {error}") from error
        config = version.more.get("ImageConfig", {})
        has_directory = _has(stored.root, directory_of(stored.settings, config))
        return image_program(stored.root, stored.settings, config, has_directory)


async def open_images(stack: AsyncExitStack, data: Path, settings: Settings, isolation: str) -> ImageFunctions:
    """`isolation`: the kind that this server has."""
    limits = ImageLimits(settings.limits.image_bytes, settings.limits.image_manifest_bytes)
    images = Images(data / "images", settings.image_options, limits)
    await images.open()
    stack.push_async_callback(images.close)
    why = "" if isolation != "process" else f"Container images cannot be run with the isolation {isolation!r}."
    return ImageFunctions(images, why)


def image_extensions(image: ImageProgram) -> tuple[str, ...]:
    """External extensions: the files of /opt/extensions in the image."""
    folder = inside.located(image.root, _EXTENSIONS)
    if not inside.is_directory(folder):
        return ()
    names = sorted(path.name for path in folder.iterdir())
    return tuple(name for name in names if inside.is_file(inside.located(image.root, (*_EXTENSIONS, name))))


def _has(root: Path, directory: str) -> bool:
    if any(directory == own or directory.startswith(f"{own}/") for own in _OWN):
        return True
    try:
        return inside.is_directory(inside.located(root, directory.split("/")))
    except OSError:
        return False
