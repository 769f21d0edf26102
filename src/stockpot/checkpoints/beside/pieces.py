"""The pieces of a SentencePiece model, read from its protocol buffer without the library.

A model is a message whose field 1 repeats: each is a piece, a message whose field 1 is its text.
"""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PIECE = _TEXT = 1


def sentencepieces(raw: bytes) -> list[str] | None:
    """The text of every piece, in the order of their rows; None where it is no such model."""
    found = list[str]()
    try:
        for number, content in _fields(raw):
            if number == _PIECE and content is not None:
                text = next((c for n, c in _fields(content) if n == _TEXT), None)
                if text is None:
                    return None
                found.append(text.decode())
    except (ValueError, IndexError):
        return None
    return found or None


def _fields(raw: bytes):
    """Number of each field, and its bytes where it holds bytes."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind, content = key & 7, None
        if kind == _VARINT:
            _, at = _varint(raw, at)
        elif kind == _BYTES:
            size, at = _varint(raw, at)
            content = raw[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("a kind that protocol buffers do not have")
        if at > len(raw):
            raise ValueError("a field ends after the message")
        yield key >> 3, content


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")
