"""The events of S3 and SNS for functions, from what moto knows (aws-lambda reference 8).

Source: "Event message structure" in the S3 guide, "Using Lambda with Amazon SNS" in Lambda's.
"""

import base64
import secrets
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote_plus


class Asked(NamedTuple):
    """By the call that has made the event."""

    address: str
    request_id: str


class Marked:
    """A version of an object, or a marker, that goes by this name."""

    def __init__(self, name: str, version: Any) -> None:
        self.name = name
        self.version_id = version.version_id
        self.size = getattr(version, "size", 0)
        self.etag = getattr(version, "etag", "") or ""


def of_s3(event_name: str, bucket: Any, key: Any, configuration: str, asked: Asked) -> dict[str, Any]:
    """`event_name` as configured: `s3:ObjectCreated:Put`."""
    name = event_name.removeprefix("s3:")
    thing: dict[str, Any] = {"key": quote_plus(key.name, safe="/")}
    if not name.startswith("ObjectRemoved:"):
        thing |= {"size": key.size, "eTag": key.etag.replace('"', "")}
    elif name.endswith("DeleteMarkerCreated"):
        thing["eTag"] = "d41d8cd98f00b204e9800998ecf8427e"
    if bucket.is_versioned and key.version_id not in {None, "null"}:
        thing["versionId"] = str(key.version_id)
    thing["sequencer"] = f"{time.time_ns():016X}"
    owner = {"principalId": bucket.account_id}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": _now(),
        "eventName": name,
        "userIdentity": {"principalId": f"AWS:{bucket.account_id}"},
        "requestParameters": {"sourceIPAddress": asked.address or "127.0.0.1"},
        "responseElements": {
            "x-amz-request-id": asked.request_id or secrets.token_hex(8).upper(),
            "x-amz-id-2": base64.b64encode(secrets.token_bytes(48)).decode(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {"name": bucket.name, "ownerIdentity": owner, "arn": bucket.arn},
            "object": thing,
        },
    }
    return {"Records": [record]}


def of_sns(
    subscription: Any, message: str, message_id: str, subject: str | None, attributes: dict[str, Any], signer: "Signer"
) -> dict[str, Any]:
    topic, region = subscription.topic.arn, subscription.topic.arn.split(":")[3]
    timestamp = _now()
    sns = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Subject": subject or None,
        "Message": message,
        "Timestamp": timestamp,
        **signer.signed(region, message, message_id, subject, timestamp, topic),
        "UnsubscribeUrl": (
            f"https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription.arn}"
        ),
        "MessageAttributes": {
            name: {"Type": value["Type"], "Value": str(value["Value"])} for name, value in attributes.items()
        },
    }
    record = {"EventVersion": "1.0", "EventSource": "aws:sns", "EventSubscriptionArn": subscription.arn, "Sns": sns}
    return {"Records": [record]}


class Signer:
    """Signs messages of SNS as it does. Mutable state: one key and certificate by region, made when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[Any, str]] = {}

    def signed(
        self, region: str, message: str, message_id: str, subject: str | None, timestamp: str, topic: str
    ) -> dict[str, str]:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        key, name = self._key(region)
        parts = {"Message": message, "MessageId": message_id, "Subject": subject, "Timestamp": timestamp}
        parts |= {"TopicArn": topic, "Type": "Notification"}
        text = "".join(f"{part}\n{value}\n" for part, value in parts.items() if value)
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {
            "SignatureVersion": "2",
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertUrl": f"https://sns.{region}.amazonaws.com/{name}",
        }

    def _key(self, region: str) -> tuple[Any, str]:
        with self._lock:
            if region not in self._keys:
                self._keys[region] = _new_key(region)
            return self._keys[region]


def _new_key(region: str) -> tuple[Any, str]:
    """And the name under which moto shows its certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.sns.models import sns_backends

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    whose = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3_650))
        .sign(key, hashes.SHA256())
    )
    name = f"SimpleNotificationService-{uuid.uuid4().hex}.pem"
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    sns_backends[DEFAULT_ACCOUNT_ID][region]._message_public_keys[name] = shown  # noqa: SLF001 - as moto does itself
    return key, name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
