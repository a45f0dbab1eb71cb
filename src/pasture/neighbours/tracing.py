"""How a message in a queue carries the trace that it belongs to. SQS does this by itself; the embedded server does not.

Source: "Amazon SQS and AWS X-Ray": the header X-Amzn-Trace-Id of a call becomes the system attribute AWSTraceHeader of
its messages, unless they have one. Lambda's detection of recursive loops follows it.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

_ATTRIBUTE = "AWSTraceHeader"
_MEMBER = "MessageSystemAttributes"
_FORM_ATTRIBUTE = re.compile(r"(SendMessageBatchRequestEntry\.\d+\.)?MessageSystemAttribute\.\d+\.Name")
_FORM_ENTRY = re.compile(r"(SendMessageBatchRequestEntry\.\d+\.)Id")


def with_trace(operation: str, body: bytes, trace_id: str) -> bytes:
    """The body of a call of SQS, JSON or form, whose messages have the trace; what is not understood stays as it is."""
    if not trace_id or operation not in {"SendMessage", "SendMessageBatch"}:
        return body
    if not body.lstrip().startswith(b"{"):
        return _form_with_trace(operation, body, trace_id)
    try:
        call = json.loads(body)
        entries = call["Entries"] if operation == "SendMessageBatch" else [call]
        for entry in entries:
            _mark(entry, trace_id)
    except (ValueError, KeyError, TypeError, AttributeError):
        return body
    return json.dumps(call).encode()


def _mark(message: dict[str, Any], trace_id: str) -> None:
    attributes = message.setdefault(_MEMBER, {})
    attributes.setdefault(_ATTRIBUTE, {"DataType": "String", "StringValue": trace_id})


def _form_with_trace(operation: str, body: bytes, trace_id: str) -> bytes:
    """Of older clients, which send forms."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    if any(_FORM_ATTRIBUTE.fullmatch(name) for name, _ in pairs):
        return body
    prefixes = [""]
    if operation == "SendMessageBatch":
        prefixes = [found[1] for name, _ in pairs if (found := _FORM_ENTRY.fullmatch(name))]
    for prefix in prefixes:
        attribute = f"{prefix}MessageSystemAttribute.1"
        pairs += [
            (f"{attribute}.Name", _ATTRIBUTE),
            (f"{attribute}.Value.DataType", "String"),
            (f"{attribute}.Value.StringValue", trace_id),
        ]
    return urlencode(pairs).encode()
