"""Numbers of bytes as people write them: 5GB, 512MiB."""

import re

from ...errors import FieldError

_UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,15})?) ?([kmgt]?i?)b?", re.IGNORECASE)
_LARGEST = 2**63 - 1


def parse_size(size: str | int) -> int:
    """Bytes: GB, MB, kB are decimal, GiB, MiB, KiB are binary; a bare number counts bytes.

    Raises:
        FieldError: not a positive number of bytes.

    Example:
        >>> parse_size("5GB"), parse_size("1.5 GiB"), parse_size(4096)
        (5000000000, 1610612736, 4096)
    """
    found = _SIZE.fullmatch(str(size).strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    if isinstance(size, bool) or found is None or unit is None:
        raise FieldError(f"cannot read the size '{str(size)[:40]}': write such as 512MiB or 5GB.")
    number = found[1]
    count = int(number) * unit if number.isdigit() else int(float(number) * unit)
    if not 0 < count <= _LARGEST:
        raise FieldError(
            f"the size '{str(size)[:40]}' must be at least one byte, at most 2^63 - 1."
        )
    return count


def format_size(count: int) -> str:
    """The shortest exact spelling that `parse_size` reads back.

    Example:
        >>> format_size(5 * 10**9), format_size(2**31), format_size(1001)
        ('5GB', '2GiB', '1001')
    """
    exact = [
        (count // unit, name) for name, unit in _UNITS.items() if unit > 1 and count % unit == 0
    ]
    if not exact:
        return str(count)
    number, name = min(exact)
    return f"{number}{_SPELLED[name]}"


_SPELLED = {name: (name if name == "k" else name.capitalize()) + "B" for name in _UNITS}
