"""Container images: found in registries and on disk, checked by digest, unpacked once, shared.

Knows no function. `images.Images` is the door; `reference`, `manifest` and `challenge` are pure.
"""
