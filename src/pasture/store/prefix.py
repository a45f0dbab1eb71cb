"""Keys that start with a prefix, as a range that an index can serve. Pure."""


def prefix_end(prefix: str) -> str | None:
    """The least text, by code points, beyond everything that starts with `prefix`; None if there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + ("\ue000" if following == 0xD800 else chr(following))  # surrogates are not text
