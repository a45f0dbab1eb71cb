"""Empty file systems for the /tmp of boxes, one image a size, made when it is first asked for."""

import asyncio
import os
import shutil
import stat
import subprocess
from pathlib import Path

from pasture.isolation.spec import SandboxError

_MIB = 1 << 20
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_MAKE_SECONDS = 60
_TOOLS = ("mkfs.ext4", "debugfs")
_BLOCK = 4096
_BYTES_PER_INODE = 16_384
_INODE = 256
_TMP_MODE = stat.S_IFDIR | 0o1777
# No journal, no spare superblocks, nothing zeroed in advance: a copy takes 0.1 ms, and nothing in it is to outlive a
# crash. No blocks are kept back for root.
_OPTIONS = (
    "-q", "-F", "-m", "0", "-b", str(_BLOCK), "-i", str(_BYTES_PER_INODE), "-I", str(_INODE),
    "-O", "^has_journal,^resize_inode,^metadata_csum,uninit_bg,^64bit,sparse_super2",
    "-E", "lazy_itable_init=1,nodiscard,packed_meta_blocks=1,num_backup_sb=0",
)  # fmt: skip


class TmpImages:
    """Mutable state: the images there are, or are being made, by size."""

    def __init__(self, directory: Path, path: str = _PATH) -> None:
        self._directory = directory
        self._tools = {tool: shutil.which(tool, path=path) for tool in _TOOLS}
        self._images: dict[int, asyncio.Task[Path]] = {}

    def clear(self) -> None:
        """Those of an earlier session may be half made. Blocks."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)

    def why_not(self) -> str:
        """What is missing that can be seen at once; whether a kernel mounts them, only a trial shows."""
        if os.geteuid() != 0:
            return "a /tmp on disk takes root"
        missing = next((tool for tool in _TOOLS if not self._tools[tool]), None)
        return f"there is no {missing} (Debian's package e2fsprogs)" if missing else ""

    async def image(self, size: int) -> Path:
        """With that many bytes to fill. Raises SandboxError."""
        made = self._images.get(size)
        if made is None or (made.done() and (made.cancelled() or made.exception())):
            made = self._images[size] = asyncio.create_task(
                asyncio.to_thread(self._make, size), name=f"an image of {size} bytes"
            )
        return await asyncio.shield(made)

    async def close(self) -> None:
        await asyncio.gather(*self._images.values(), return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _make(self, size: int) -> Path:
        path = self._directory / f"{size}.ext4"
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.truncate(_with_inodes(size))
        self._run("mkfs.ext4", *_OPTIONS, str(fresh))
        # Here once, because in each box it would take longer than the mount itself.
        self._run("debugfs", "-w", "-R", "rmdir lost+found", str(fresh))
        self._run("debugfs", "-w", "-R", f"set_inode_field / mode 0{_TMP_MODE:o}", str(fresh))
        return fresh.rename(path)

    def _run(self, tool: str, *arguments: str) -> None:
        ran = subprocess.run(
            [self._tools[tool] or tool, *arguments],
            capture_output=True, text=True, check=False, timeout=_MAKE_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if ran.returncode != 0:
            raise SandboxError(f"cannot make a file system for /tmp: {tool}: {ran.stderr.strip()}.")


def _with_inodes(size: int) -> int:
    """So large that what is left beside the table of inodes is what was asked for; at least what ext4 needs itself."""
    return max(size + size * _INODE // _BYTES_PER_INODE, _MIB) // _BLOCK * _BLOCK
