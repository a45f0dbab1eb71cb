"""Objects whose references are not counted any more, so that using them in a fork does not copy the page they are on.

PEP 683 gave CPython 3.12 such objects, for forking servers among others, and no call to make one: the count in the
object's head is set to the value that means it (`_Py_IMMORTAL_REFCNT`). Earlier versions count everything; later ones
have another value. What is made immortal here would live as long as the process anyway.
"""

import ctypes
import gc
import sys

_VERSIONS = ((3, 12), (3, 13))
# The lower half of ob_refcnt, the first word of every object on the 64-bit machines that there are runtimes for.
_IMMORTAL = 0xFFFFFFFF


def immortalise_all() -> None:
    """Everything there is, but for the frames that run."""
    if sys.version_info[:2] not in _VERSIONS or sys.maxsize <= _IMMORTAL:
        return
    found: dict[int, object] = {}
    pending: list[object] = [sys.modules, *gc.get_objects()]
    while pending:
        it = pending.pop()
        if id(it) not in found and type(it).__name__ != "frame":
            found[id(it)] = it
            pending.extend(gc.get_referents(it))
    # These two end with this call.
    addresses = found.keys() - {id(found), id(pending)}
    for address in addresses:
        ctypes.c_uint32.from_address(address).value = _IMMORTAL
