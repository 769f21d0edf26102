"""Files of strangers, opened so that none of them can make a reader wait or take all memory."""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

from . import system


def open_descriptor(path: Path) -> int:
    """A descriptor of a regular file.

    Raises:
        OSError: it is a pipe, a socket, a device or a directory, or cannot be opened.
    """
    descriptor = system.here.open_to_read(path)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def open_file(path: Path) -> BinaryIO:
    """A regular file; one that says it is empty is, as those of /proc that never end.

    Raises:
        OSError: as `open_descriptor`.
    """
    file = os.fdopen(open_descriptor(path), "rb")
    if os.fstat(file.fileno()).st_size:
        return file
    file.close()
    return io.BytesIO()


def read_file(path: Path, most: int) -> bytes:
    """A whole regular file of at most so many bytes.

    Raises:
        OSError: as `open_descriptor`, or it is larger.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return content
