"""Identifiers by chance, for what needs many: the kernel is asked for randomness a page at a time.

Not for secrets: what has been fetched stays in memory until it is used.
"""

import os

_PAGE = 2048

_hex = ""
_used = 0


def random_hex(digits: int) -> str:
    """So many hexadecimal digits, a page's worth at most."""
    global _hex, _used
    end = _used + digits
    if end > len(_hex):
        _hex, _used, end = os.urandom(_PAGE).hex(), 0, digits
    found = _hex[_used:end]
    _used = end
    return found


def random_uuid() -> str:
    """As `str(uuid.uuid4())`: 122 random bits, and version and variant."""
    digits = random_hex(32)
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
