"""A number that the kernel shows in a file, read again and again: the file stays open until `close`."""

import errno
import os


class Gauge:
    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._descriptor = -1

    def close(self) -> None:
        """It reads 0 from then on."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def read(self) -> int:
        """0 when there is no such file, or none any more."""
        if self._descriptor < 0:
            return 0
        try:
            return int(os.pread(self._descriptor, 32, 0))
        except OSError as error:
            # ENODEV is what reading a file of a removed cgroup says.
            if error.errno != errno.ENODEV:
                raise
            return 0
