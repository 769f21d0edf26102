"""What the refusal of a torch file means to a user."""

from pathlib import Path

from ...errors import CheckpointError
from ..formats.untrusted import listed, shown
from ..kinds.training import conversion
from .budget import NamedError, PickleError, ProtocolError


def refusal(path: Path, error: Exception) -> CheckpointError:
    """An error of a scan, or of torch, in words.

    Args:
        path: the file.
        error: of `scan`, or what torch raised on a file that the scan let through.
    """
    if isinstance(error, NamedError):
        return CheckpointError(
            f"{path} is more than weights: its pickle names {listed(error.names)}, "
            f"which is refused, as loading it could run any code. {conversion(path, error.names)}"
        )
    if isinstance(error, ProtocolError):
        return CheckpointError(
            f"{path} is pickled with a protocol that torch does not read with weights_only=True: "
            "load it with torch yourself and save it as safetensors."
        )
    if "quantize" in str(error).lower():
        return CheckpointError(
            f"{path} holds quantised tensors: their numbers are codes, not weights. Call "
            "dequantize() on them first."
        )
    why = f"its pickle {error}" if isinstance(error, PickleError) else _words(error)
    return CheckpointError(
        f"{path} cannot be read as weights: it is damaged, or torch.save did not write it "
        f"({why}). Download or save it again."
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {shown(str(error), 120)}"
