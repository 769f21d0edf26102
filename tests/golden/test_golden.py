"""Merges give the bytes that they gave; see merges.py for what to do where they must not."""

import json

import torch

from stockpot.methods import METHODS

from .merges import DIGESTS, MERGES, family, merges

STORED: dict[str, str] = json.loads(DIGESTS.read_text())


def test_merges_give_the_bytes_they_gave() -> None:
    found = dict(merges())
    assert list(found) == list(STORED), "run tests/golden/merges.py"
    changed = [name for name, digest in found.items() if digest != STORED[name]]
    assert changed == []


def test_every_method_is_there_and_no_two_merges_agree() -> None:
    assert {type(method) for method, _ in MERGES} == set(METHODS)
    assert len(STORED) == 2 * len(MERGES)
    assert len(set(STORED.values())) == len(STORED)


def test_the_inputs_are_what_they_were() -> None:
    base, first, *_ = family(torch.float32)
    assert base["embed.weight"][0, :2].tolist() == [3.209228515625, -6.842041015625]
    assert (first["scale"] - base["scale"]).item() == 0.668060302734375
