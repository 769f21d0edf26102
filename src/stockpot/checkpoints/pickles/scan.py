"""The scan: a pickle is gone through as its reader would, on shapes in place of values.

Nothing is imported, called or built.
"""

from .budget import Budget, CutOffError, NamedError, PickleError, ProtocolError
from .dialect import Dialect
from .machine import Machine
from .operations import OPERATIONS, STOP


def scan(raw: bytes, dialect: Dialect, budget: Budget, at: int = 0) -> tuple[object, int]:
    """Go through one pickle; gives the shape of what it holds, and the byte after it.

    Args:
        raw: bytes that hold it.
        dialect: what its reader admits.
        budget: what it may cost, shared by all pickles of a file.
        at: where in `raw` it begins.

    Raises:
        NamedError: it names something that is refused; all such names are listed.
        CutOffError: `raw` ends before it does.
        PickleError: it is damaged, or costs too much.
    """
    machine = Machine(raw, dialect, budget, at)
    try:
        found = _run(machine)
    except PickleError as error:
        if machine.refused:
            raise NamedError(list(machine.refused)) from None
        if machine.foreign and not isinstance(error, CutOffError):
            raise ProtocolError(None) from None
        raise
    if machine.refused:
        raise NamedError(list(machine.refused))
    if machine.foreign:
        raise ProtocolError(found[1])
    return found


def _run(machine: Machine) -> tuple[object, int]:
    raw, size, known = machine.raw, len(machine.raw), machine.dialect.operations
    step = machine.budget.step
    while True:
        if machine.at >= size:
            raise CutOffError("is cut off")
        opcode = raw[machine.at]
        machine.at += 1
        machine.operations += 1
        step()
        if opcode == STOP:
            return machine.pop(), machine.at
        if known is not None and opcode not in known:
            machine.foreign = True
        operation = OPERATIONS.get(opcode)
        if operation is None:
            raise PickleError(f"has the unknown operation {bytes((opcode,))!r}")
        operation(machine)
