"""Which descriptors a process keeps. An event loop may let more through to a child than was meant; a clone has all."""

import os

_ALL = 1 << 20


def close_all_but(kept: "set[int]") -> None:
    first = 0
    for number in sorted(kept):
        if first < number:  # os.closerange(0, 0) closes everything: its last is -1
            os.closerange(first, number)
        first = number + 1
    os.closerange(first, _ALL)
