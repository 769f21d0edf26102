"""How numbers are shown: the unit of a metric, sizes, probabilities, and names that are safe."""

import math
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import takewhile

from ..evaluation.results.comparison import NORMALISED

UNSHOWABLE = "\N{REPLACEMENT CHARACTER}"

_RIGHT_TO_LEFT = (
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_RUN = re.compile(rf"{_RIGHT_TO_LEFT}+(?:[^\w]+{_RIGHT_TO_LEFT}+)*")
_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a metric is called and how its values are written.

    Attributes:
        name: in words.
        sign: of the unit, "%" or nothing.
        gap: the unit of a difference.
        factor: what a value is multiplied by before it is written.
        digits: after the decimal point.
        better: "higher", "lower", or nothing where it is not known.
        chance: what a guess scores, where that is the same whatever the data.
    """

    name: str
    sign: str = ""
    gap: str = ""
    factor: float = 1.0
    digits: int = 4
    better: str = ""
    chance: float | None = None

    def show(self, value: float) -> str:
        """The value in this unit, without the sign.

        >>> unit_of("accuracy").show(0.9237)
        '92.4'
        >>> unit_of("nll").show(float("inf"))
        'not finite'
        """
        return f"{self.factor * value:.{self.digits}f}" if math.isfinite(value) else "not finite"

    def show_difference(self, value: float) -> str:
        """The value with its sign.

        >>> unit_of("auroc").show_difference(0.0123)
        '+1.2'
        """
        return f"{self.factor * value:+.{self.digits}f}" if math.isfinite(value) else "not finite"

    def label(self) -> str:
        """For an axis or a caption.

        >>> unit_of("ece").label()
        'calibration error (ECE), %'
        """
        return f"{self.name}, {self.sign}" if self.sign else self.name

    def gap_label(self) -> str:
        """The unit of a difference, or the metric's name where it has none."""
        return self.gap or self.name


_UNITS = {
    "accuracy": Unit(
        name="accuracy", sign="%", gap="points", factor=100, digits=1, better="higher"
    ),
    "auroc": Unit(
        name="AUROC", sign="%", gap="points", factor=100, digits=1, better="higher", chance=0.5
    ),
    "ece": Unit(
        name="calibration error (ECE)",
        sign="%",
        gap="points",
        factor=100,
        digits=1,
        better="lower",
    ),
    "nll": Unit(name="negative log-likelihood", sign="nats", gap="nats", digits=3, better="lower"),
}


def unit_of(metric: str) -> Unit:
    """The unit of a metric; a user's own is shown as it is, under its name."""
    of_own = metric.removeprefix(f"{NORMALISED} ")
    if of_own != metric:  # a quotient of two values of one unit
        name = f"normalised {unit_of(of_own).name}"
        return Unit(name=name, sign="%", gap="points", factor=100, digits=1, better="higher")
    return _UNITS.get(metric) or Unit(name=readable(metric))


def readable(name: str) -> str:
    """The name with every character that cannot be shown replaced by a visible mark.

    Control characters and lone surrogates may stand in a class name, and in neither XML nor UTF-8.

    >>> readable("tab\\there")
    'tab here'
    """
    spaced = " ".join(name.split()) if any(c in name for c in "\t\n\r\f\v") else name
    return "".join(c if c.isprintable() else UNSHOWABLE for c in spaced)


def shown(text: str) -> str:
    """Text as a page has it: `readable`, and words that run from right to left kept to themselves.

    Without that a number after such a word would be drawn before it.

    >>> shown("safe\\u202etxt.exe"), len(shown("\\u05d0\\u05d1 1"))
    ('safe\ufffdtxt.exe', 6)
    """
    return _RUN.sub(lambda found: f"{_ISOLATE}{found.group()}{_END}", readable(text))


def plain(name: str, longest: int = 30) -> str:
    r"""A name as matplotlib shows it literally, cut in the middle where it is too long.

    A dollar sign would begin a formula.

    >>> plain("a$b")
    'a\\$b'
    >>> plain("a-network-with-quite-a-long-name-v2", longest=20)
    'a-network-w…-name-v2'
    """
    return _cut(readable(name), longest).replace("$", r"\$")


def short(names: Sequence[str], longest: int) -> list[str]:
    """Names of at most so many characters; cut where they are alike, so that they stay apart.

    >>> short(["checkpoints/run-1/model", "checkpoints/run-2/model"], 10)
    ['…n-1/model', '…n-2/model']
    """
    shown = [readable(name) for name in names]
    alike: dict[str, set[str]] = {}
    for name in shown:
        alike.setdefault(_cut(name, longest), set()).add(name)
    return [_apart(name, alike[_cut(name, longest)], longest) for name in shown]


def _apart(name: str, others: Set[str], longest: int) -> str:
    """The name cut in the middle, or, where `others` would be cut to the same, where they part."""
    if len(others) == 1:
        return _cut(name, longest)
    shared = sum(1 for _ in takewhile(lambda each: len(set(each)) == 1, zip(*others, strict=False)))
    start = max(0, shared - min(4, longest // 4))
    rest = f"…{name[start:]}" if start else name
    return rest if len(rest) <= longest else f"{rest[: longest - 1]}…"


def _cut(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    tail = (longest - 1) * 2 // 5
    tail += tail % 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def show_plainly(value: float) -> str:
    """A number to four figures, without an exponent where it fits.

    >>> show_plainly(1.13249), show_plainly(0.0)
    ('1.132', '0')
    """
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def show_count(number: int) -> str:
    """A large number to three figures with the letter of its thousands.

    >>> show_count(1_234_567), show_count(950)
    ('1.23 M', '950')
    """
    return _scaled(number, ("", "k", "M", "G", "T", "P"))


def show_bytes(number: int) -> str:
    """A size to three figures, in powers of 1000.

    >>> show_bytes(45_600_000)
    '45.6 MB'
    """
    return _scaled(number, ("B", "kB", "MB", "GB", "TB", "PB"))


def show_seconds(seconds: float) -> str:
    """A time to three figures.

    >>> show_seconds(0.01234)
    '0.0123 s'
    """
    return f"{seconds:.3g} s" if math.isfinite(seconds) else "not finite"


def show_probability(p: float) -> str:
    """A p-value; below a thousandth only that.

    >>> show_probability(0.0321), show_probability(0.0)
    ('0.032', '< 0.001')
    """
    if not math.isfinite(p):
        return "not finite"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _scaled(number: int, units: tuple[str, ...]) -> str:
    size, place = float(number), 0
    while abs(size) >= 999.5 and place < len(units) - 1:
        size, place = size / 1000, place + 1
    text = f"{size:.0f}" if place == 0 or abs(size) >= 100 else f"{size:.3g}"
    return f"{text} {units[place]}".strip()
