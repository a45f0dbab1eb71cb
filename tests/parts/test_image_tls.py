"""Registries over TLS whose certificate only the operator believes."""

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.container_images import a_layer, an_image
from fakes.scripted_registry import scripted
from pasture.images.errors import ImageUnreachable
from pasture.images.images import ImageLimits, Images
from pasture.images.options import ImageOptions
from pasture.kit.errors import OperatorError
from pasture.runtimes.registry import machine_architecture

IMAGE = an_image([a_layer({"a": "1"})], Cmd=["/run"])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself; the file has its key as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a registry of one's own")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "registry.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


async def pulled(directory: Path, host: str, certificates: Path | str) -> str:
    options = ImageOptions({"own.example": f"https://{host}"}, certificates=str(certificates), retry_seconds=0)
    images = Images(directory / "images", options, ImageLimits(1_000_000, 25_400))
    await images.open()
    try:
        found = await images.resolve("own.example/app:v1", machine_architecture())
        stored = await images.ensure(found.digest, found.resolved_uri)
        return (stored.root / "a").read_text()
    finally:
        await images.close()


async def test_an_image_comes_over_tls_from_a_registry_that_the_operator_believes(
    tmp_path: Path, certificate: Path
) -> None:
    with scripted(IMAGE, certificate) as registry:
        assert await pulled(tmp_path, registry.host, certificate) == "1"


async def test_a_registry_that_nobody_vouches_for_is_not_spoken_to(tmp_path: Path, certificate: Path) -> None:
    with scripted(IMAGE, certificate) as registry:
        with pytest.raises(ImageUnreachable, match="certificate verify failed"):
            await pulled(tmp_path, registry.host, "")
        assert registry.asked == []


@pytest.mark.parametrize("content", [None, "no certificates"])
async def test_certificates_that_cannot_be_read_are_told(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(
        OperatorError, match=r"cannot use the certificate authorities of registries in .*authorities.pem"
    ):
        await pulled(tmp_path, "127.0.0.1:1", file)
