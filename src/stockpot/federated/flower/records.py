"""Orders, replies and scores as Flower's records, and back.

An array is read where it lies in the message: Flower's own way copies it.
"""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ...errors import StockpotError
from ...libraries import optional
from ...ops.distribution import Scope
from ...typed import from_numpy, to_numpy
from ..rounds.messages import Order, Reply, Score, State

ARRAYS, FACTS, SCOPES, STATISTICS = "arrays", "facts", "scopes", "statistics"
_NPY = "numpy.ndarray"


def order_record(order: Order) -> Any:
    """A RecordDict of an order."""
    app = optional("flwr.app", "federated")
    return app.RecordDict(
        {
            ARRAYS: arrays_of(order.state),
            FACTS: app.ConfigRecord({"round": order.round}),
            SCOPES: _scopes_record(order.scopes),
        }
    )


def order_from(record: Any) -> Order:
    """What `order_record` gave."""
    facts = record.config_records[FACTS]
    return Order(int(facts["round"]), state_of(record.array_records[ARRAYS]), _scopes_in(record))


def reply_record(reply: Reply) -> Any:
    """A RecordDict of a reply; its MetricRecord has what Flower's own strategies want."""
    app = optional("flwr.app", "federated")
    facts = {"num-examples": reply.examples, "client": reply.client, "round": reply.round}
    # Flower's own strategies take no reply with two records of arrays
    statistics = {STATISTICS: arrays_of(reply.statistics)} if reply.statistics else {}
    return app.RecordDict(
        {
            ARRAYS: arrays_of(reply.state),
            FACTS: app.MetricRecord(facts),
            SCOPES: _scopes_record(reply.scopes),
            **statistics,
        }
    )


def reply_from(record: Any) -> Reply:
    """What `reply_record` gave.

    Raises:
        StockpotError: a record is missing, or is not what it should be.
    """
    try:
        facts = record.metric_records[FACTS]
        return Reply(
            int(facts["client"]),
            int(facts["round"]),
            state_of(record.array_records[ARRAYS]),
            int(facts["num-examples"]),
            _scopes_in(record),
            state_of(record.array_records.get(STATISTICS, {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StockpotError(
            f"its answer cannot be read ({type(error).__name__}: {error})"
        ) from None


def score_record(score: Score) -> Any:
    """A RecordDict of a score."""
    app = optional("flwr.app", "federated")
    facts = {"num-examples": score.count, "client": score.client, "right": score.right}
    return app.RecordDict({FACTS: app.MetricRecord(facts)})


def score_from(record: Any) -> Score:
    """What `score_record` gave.

    Raises:
        StockpotError: a record is missing, or is not what it should be.
    """
    try:
        facts = record.metric_records[FACTS]
        return Score(int(facts["client"]), float(facts["right"]), int(facts["num-examples"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StockpotError(
            f"its answer cannot be read ({type(error).__name__}: {error})"
        ) from None


def arrays_of(state: State) -> Any:
    """An ArrayRecord, as Flower's own strategies read it.

    Raises:
        StockpotError: a dtype that NumPy does not have, such as bfloat16.
    """
    app = optional("flwr.app", "federated")
    return app.ArrayRecord({name: _array(app, name, one) for name, one in state.items()})


def moved_arrays(state: dict[str, Tensor]) -> Any:
    """`arrays_of` a state that is empty then: each tensor is let go as soon as it is copied."""
    app = optional("flwr.app", "federated")
    return app.ArrayRecord({name: _array(app, name, state.pop(name)) for name in list(state)})


def _array(app: Any, name: str, tensor: Tensor) -> Any:
    """In NumPy's format, made with one copy."""
    try:
        array = to_numpy(tensor.detach().cpu().contiguous())
    except TypeError:
        raise StockpotError(
            f"'{name}' is {tensor.dtype}, which Flower's arrays cannot hold: use float32."
        ) from None
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    data = b"".join((head.getvalue(), array.reshape(-1).view(np.uint8).data))
    return app.Array(str(array.dtype), tuple(array.shape), _NPY, data)


def state_of(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors on the memory of an ArrayRecord; they are not to be changed in place.

    Raises:
        ValueError: an array is not in NumPy's format, or is cut short.
    """
    return {name: _tensor(one) for name, one in arrays.items()}


def _tensor(array: Any) -> Tensor:
    if array.stype != _NPY:
        raise ValueError(f"an array is stored as '{str(array.stype)[:40]}', not {_NPY}")
    head = io.BytesIO(array.data[:4096])  # headers are padded to a multiple of 64 bytes
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0
    shape, by_columns, dtype = (
        read(head) if version == (1, 0) else np.lib.format.read_array_header_2_0(head)
    )
    flat = np.frombuffer(array.data, dtype, offset=head.tell())
    found = flat.reshape(shape, order="F" if by_columns else "C")
    with warnings.catch_warnings():
        # The bytes of a message cannot be written to, and are not.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return from_numpy(found)


def _scopes_record(scopes: Mapping[str, Scope]) -> Any:
    app = optional("flwr.app", "federated")
    return app.ConfigRecord(
        {
            "names": list(scopes),
            "means": [one.mean for one in scopes.values()],
            "stds": [one.std for one in scopes.values()],
        }
    )


def _scopes_in(record: Any) -> dict[str, Scope]:
    listed = record.config_records[SCOPES]
    triples = zip(listed["names"], listed["means"], listed["stds"], strict=True)
    return {str(name): Scope(float(mean), float(std)) for name, mean, std in triples}
