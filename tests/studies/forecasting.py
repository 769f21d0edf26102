"""Tables of merges that are made by a rule, so that the answer is known."""

import math

import numpy as np

from stockpot.studies.diagnosis.forecast import MergeRow, PoolRow, candidates
from stockpot.studies.diagnosis.forecast.traits import NAMES, OF_TASK_VECTORS, Traits

DATA = ("digits", "fashion-mnist", "emoji", "text")
NETWORKS = ("mlp", "cnn", "resnet-batch")


def some_traits(random, *, spread, count=3, based=True, batch_norm=False):
    """Traits of which only some matter."""
    values = {name: float(random.normal()) for name in NAMES}
    values |= {"spread": spread, "cosine": 1 - 1.5 * spread**2}
    values |= {"count": float(count), "batch_norm": float(batch_norm)}
    if not based:
        values |= dict.fromkeys(OF_TASK_VECTORS, math.nan)
    return Traits(**values)


def made_table(rule, pools=48, noise=0.0, seed=0):
    """Merges whose quality is `rule(traits, method, mended)`, and noise."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(pools):
        network = NETWORKS[number % len(NETWORKS)]
        relation = ("pretrained", "init", "independent")[number % 5 % 3]
        based = relation != "independent"
        spread = float(random.uniform(0.0, 0.5) if based else random.uniform(0.6, 0.8))
        traits = some_traits(
            random, spread=spread, based=based, batch_norm=network == "resnet-batch"
        )
        pool = PoolRow(
            pool=f"pool-{number}",
            data=DATA[number % len(DATA)],
            network=network,
            relation=relation,
            chance=0.1,
            mean=0.9,
            best=0.92,
            traits=traits,
        )
        for one in candidates(3, based=based):
            for mended in (False, True) if traits.batch_norm else (False,):
                quality = rule(traits, one.name, mended) + noise * float(random.normal())
                score = 0.1 + 0.8 * quality
                found.append(MergeRow(pool=pool, method=one.name, mended=mended, score=score))
    return tuple(found)


def falling(traits, method, mended):
    """The farther apart, the worse; one method is worse than the others."""
    return 1.0 - traits.spread - 0.1 * (method == "ties") + 0.05 * mended
