"""A JPEG in, a smaller JPEG out."""

import base64
import io

from PIL import Image


def handler(event, context):
    picture = Image.open(io.BytesIO(base64.b64decode(event["image"])))
    before = picture.size
    picture.thumbnail((event.get("width", 128), event.get("height", 128)))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    print(f"{before[0]}x{before[1]} became {picture.size[0]}x{picture.size[1]}")
    return {"image": base64.b64encode(out.getvalue()).decode(), "before": before, "after": picture.size}
