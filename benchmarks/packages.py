"""The functions that are measured."""

import io
import zipfile

HANDLER = "def handler(event, context):\n    return event\n"


def zipped(code: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app.py", code)
    return out.getvalue()
