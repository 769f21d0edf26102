"""What stockpot raises: one base class, and a subclass for each thing a caller can act on."""


class StockpotError(Exception):
    """Something the user can mend; its text says what, which, expected, got and what to do."""


class FieldError(StockpotError):
    """A method, field or recipe entry that does not exist or is out of its bounds."""


class CheckpointError(StockpotError):
    """A file that is not the checkpoint it claims to be, or cannot be read."""


class MergeError(StockpotError):
    """Models that cannot be merged as asked: keys, shapes, needs or memory."""


class NonFiniteError(StockpotError):
    """An input or a result holds NaN or infinity."""


class OutputError(StockpotError):
    """The output cannot be written where it was asked for, or what stands there is not complete."""


class ExtraError(StockpotError):
    """An optional dependency is missing; the text names the install line."""
