"""The process that boxes are cloned from. Without a server it ends them and itself."""

import gc
import os
import sys

from . import immortal, init, namespaces, programs, protocol, setup, signals, zygote_root
from .boxes import Boxes
from .descriptors import close_all_but
from .failure import StepFailed
from .template import Template


def main(text: str) -> None:
    """`text`: an encoded `Setup`. The launcher without a zygote; with one, the beginning of it."""
    told = setup.decode(text)
    close_all_but({0, 1, 2, told.channel})
    channel = protocol.channel(told.channel)
    os.umask(0o022)
    signals.reset()
    # Everything is imported. From here on nothing is: in a box these paths would be what the box shows there.
    sys.path.clear()
    try:
        rootless = namespaces.separate()
        resolvers = (told.network or {}).get("resolvers", ())
        template = Template(told.directory, tuple(resolvers))
        template.build()
        if told.zygote:
            zygote_root.execute(template, told, rootless=rootless)
        boxes = Boxes(channel, template, told, rootless=rootless)
    except StepFailed as error:
        protocol.send(channel, {"op": "failed", "reason": str(error)})
        return
    launch(boxes)


def launch(boxes: Boxes, loaded: "programs.Loaded | None" = None) -> "protocol.ProgramRequest | None":
    """Until the server is gone: None. In a program of a box that was forked and not executed: what it is to be."""
    # What exists now is shared with every box; the collector would copy it by touching it.
    gc.collect()
    if loaded is not None:
        immortal.immortalise_all()
    gc.freeze()
    gc.disable()
    try:
        clone = boxes.serve()
    finally:
        if boxes.are_here:
            boxes.close()
    if clone is None:
        return None
    return init.run(clone.blank, clone.orders, loaded)
