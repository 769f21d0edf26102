"""What each ingredient is trained by, worked out from the file."""

import torch

from stockpot.data import Skew
from stockpot.networks.reproducible import derived
from stockpot.training.jobs.phases import phases, start_seed


def trained(experiment, index, pool=0):
    return phases(experiment, pool, index)[-1]


def test_lists_go_round_over_the_ingredients(small):
    vary = {"lr": [0.1, 0.2], "augment": [None, {"flip": 0.5}, {"noise": 0.1}]}
    experiment = small(count=6, vary=vary)
    found = [trained(experiment, index) for index in range(6)]
    assert [one.how.lr for one in found] == [0.1, 0.2] * 3
    assert [one.augment and (one.augment.flip, one.augment.noise) for one in found] == [
        None,
        (0.5, 0.0),
        (0.0, 0.1),
    ] * 2


def test_a_draw_takes_every_value_and_repeats(small):
    experiment = small(count=30, vary={"pick": "draw", "lr": [0.1, 0.2], "epochs": [1, 2]})
    found = [(one.how.lr, one.how.epochs) for one in (trained(experiment, i) for i in range(30))]
    assert set(found) == {(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)}
    assert found == [
        (one.how.lr, one.how.epochs) for one in (trained(experiment, i) for i in range(30))
    ]


def test_batch_sizes_and_optimisers_vary(small):
    experiment = small(count=4, vary={"batch_size": [16, 32], "optimiser": ["adamw", "sgd"]})
    how = [trained(experiment, index).how for index in range(4)]
    assert [(one.batch_size, one.optimiser) for one in how] == [(16, "adamw"), (32, "sgd")] * 2


def test_seed_and_order_vary_apart(small):
    def varied(vary):
        how = [trained(small(vary=vary), index).how for index in range(3)]
        return len({one.seed for one in how}), len({one.order for one in how})

    assert varied({}) == (3, 3)
    assert varied({"order": False}) == (3, 1)
    assert varied({"seed": False, "order": True}) == (1, 3)
    assert varied({"seed": False, "lr": [0.1, 0.2]}) == (1, 1)


def test_only_independent_ingredients_have_starts_of_their_own(small):
    def starts(**keys):
        experiment = small(**keys)
        return len({start_seed(experiment, 0, index) for index in (None, 0, 1, 2)})

    assert starts() == 1
    assert starts(share="init", pretrain=None) == 1
    assert starts(share="none") == 4


def test_pretraining_comes_once_or_for_each_so_that_all_train_equally(small):
    shared, own = small(), small(share="none")
    assert [one.name for one in phases(shared, 0, None)] == ["pretrain"]
    assert [one.name for one in phases(shared, 0, 0)] == ["train"]
    assert [one.name for one in phases(own, 0, 0)] == ["pretrain", "train"]
    lengths = {sum(one.how.epochs for one in phases(own, 0, index)) for index in range(3)}
    assert lengths == {sum(p.how.epochs for i in (None, 0) for p in phases(shared, 0, i))}


def test_pools_share_no_seed(small):
    experiment = small()
    seeds = [
        phases(experiment, pool, index)[-1].how.seed for pool in (0, 1) for index in (None, 0, 1, 2)
    ]
    assert len(set(seeds)) == len(seeds)
    assert start_seed(experiment, 0, None) != start_seed(experiment, 1, None)


def test_a_part_is_a_view_of_the_training_data(small):
    vary = {"part": [None, {"classes": [1, 2], "keep": 0}]}
    whole, part = (trained(small(vary=vary), index).task for index in (0, 1))
    assert whole is None
    assert isinstance(part, Skew)
    assert (part.classes, part.keep) == ((1, 2), 0)
    domains = trained(small(part={"domains": ["google"], "keep": 0.2}), 0).task
    assert (domains.names, domains.keep) == (("google",), 0.2)


def test_a_seed_is_a_hash_of_what_it_is_for():
    assert derived(0, "train", 1) == derived(0, "train", 1)
    assert len({derived(s, w, i) for s in (0, 1) for w in ("a", "b") for i in (0, 1)}) == 8
    torch.Generator().manual_seed(derived(2**62, "x"))
