"""Settings of the C library's allocator, which decide the speed of blockwise arithmetic."""

import contextlib
import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # numbers of glibc's malloc.h
_KEPT, _HEAP, _LARGEST, _RETURNED = 2**28, 2**26, 2**23, 2**20


def return_large_blocks() -> None:
    """Let glibc give what is larger than 1 MiB back as soon as it is freed, until a run begins.

    Otherwise the texts of headers, once freed, leave holes below what is kept of them, for glibc
    raises the size from which it does so with each that it gives back. So does what decomposes
    matrix after matrix, whose directions are kept: with 128 models of 512 x 512 holes took 45 MiB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _RETURNED)


def keep_freed_blocks() -> None:
    """Let glibc keep up to 256 MiB of freed blocks for the next ones, from now on.

    By default it gives a freed block of half a megabyte back to the system and faults its pages
    in again for the next operation, which makes a merge four times slower; and it unmaps each
    further heap of 64 MiB of a thread once that is empty, whatever the threshold, unless that
    much padding is asked for. What is larger than 8 MiB, as whole matrices are, is given back: it
    would leave holes in such heaps. Elsewhere than glibc nothing is changed.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_TOP_PAD, _HEAP)
        mallopt(_MMAP_THRESHOLD, _LARGEST)
