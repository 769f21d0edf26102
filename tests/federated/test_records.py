"""Flower's records hold what was put in, and its own strategies read them."""

import pytest
import torch

from stockpot.errors import StockpotError
from stockpot.federated import Order, Reply, Score
from stockpot.training import Scope

pytestmark = pytest.mark.full

STATE = {
    "w": torch.randn(3, 4),
    "scalar": torch.tensor(2.5),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "turned": torch.randn(4, 5).T,
    "double": torch.randn(2, dtype=torch.float64),
}
SCOPES = {"w": Scope(0.1, 0.2)}


@pytest.fixture(autouse=True)
def _flower():
    pytest.importorskip("flwr", reason="Flower needs an environment of its own")


def same(found):
    assert list(found) == list(STATE)
    for name, one in STATE.items():
        assert found[name].dtype == one.dtype
        assert torch.equal(found[name], one)


def test_orders_replies_and_scores_come_back():
    from stockpot.federated.flower import records

    order = records.order_from(records.order_record(Order(3, STATE, SCOPES)))
    same(order.state)
    assert (order.round, order.scopes) == (3, SCOPES)
    sent = Reply(2, 3, STATE, 40, SCOPES, {"w": torch.ones(3, 4)})
    reply = records.reply_from(records.reply_record(sent))
    same(reply.state)
    assert reply.nbytes == sent.nbytes
    assert torch.equal(reply.statistics["w"], torch.ones(3, 4))
    assert (reply.client, reply.round, reply.examples, reply.scopes) == (2, 3, 40, SCOPES)
    assert records.score_from(records.score_record(Score(1, 3.0, 4))) == Score(1, 3.0, 4)


def test_flower_reads_the_arrays_and_its_own_are_read():
    from flwr.app import Array, ArrayRecord

    from stockpot.federated.flower.records import arrays_of, state_of

    same(arrays_of(STATE).to_torch_state_dict())
    same(state_of(ArrayRecord({n: Array(one.numpy()) for n, one in STATE.items()})))


def test_a_reply_that_cannot_be_read_says_so():
    from flwr.app import Array, RecordDict

    from stockpot.federated.flower import records

    with pytest.raises(StockpotError, match="cannot be read"):
        records.reply_from(RecordDict())
    cut = records.reply_record(Reply(0, 1, STATE, 1))
    cut["arrays"]["w"] = Array("float32", (3, 4), "numpy.ndarray", b"\x93NUMPY")
    with pytest.raises(StockpotError, match="cannot be read"):
        records.reply_from(cut)
    with pytest.raises(StockpotError, match=r"'w' is torch\.bfloat16"):
        records.arrays_of({"w": torch.zeros(1, dtype=torch.bfloat16)})
