"""How often is a base said to be wrong, where it is right and where it is wrong?

    python examples/results/wrong_base.py [--quick]

Networks are trained on noisy digits, and from that base fine-tuned in many ways. Of every pool of
four fine-tunes, all pairs and the four together are judged by `lineage_of`, the note that `stockpot
merge` and `stockpot diagnose` give: around their base, where it has to be silent, and around other
networks of the same shapes. Prints a table of each; nothing is kept.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.lineage import lineage_of
from stockpot.data import digits
from stockpot.networks import build

State = dict[str, Tensor]
NETWORKS: Mapping[str, dict[str, int]] = {
    "mlp": {"width": 48, "depth": 2},
    "cnn": {"width": 8},
    "vit-tiny": {"width": 24, "depth": 2, "patch": 4},
}
RUNS = (("mlp", 1), ("mlp", 2), ("mlp", 3), ("cnn", 1), ("vit-tiny", 1))
"""Networks, and the seed of each base."""
LOOKS = ("plain", "inverted", "turned", "flipped")
DATA = digits()
IMAGES, LABELS = DATA.batch(torch.arange(len(DATA))).clone(), DATA.labels


def new(network: str, seed: int) -> nn.Module:
    """Random weights."""
    sizes = {"num_classes": 10, "in_channels": 1, "image_size": 8}
    return build(network, seed=seed, **sizes, **NETWORKS[network])


def seen(images: Tensor, look: str, random: torch.Generator) -> Tensor:
    """The images as one task has them."""
    if look == "noisy":
        return images + 0.5 * torch.randn(images.shape, generator=random)
    looks = {
        "inverted": -images,
        "turned": torch.rot90(images, 1, (2, 3)),
        "flipped": images.flip(3),
    }
    return looks.get(look, images)


def trained(
    network: str,
    start: State,
    seed: int,
    *,
    steps: int,
    lr: float,
    look: str = "plain",
    classes: tuple[int, ...] = tuple(range(10)),
    optimiser: type[torch.optim.Optimizer] = torch.optim.AdamW,
    rank: int = 0,
    only: str = "",
) -> State:
    """Some steps from a start; with a rank, of factors that are added to matrices."""
    model = new(network, 0)
    model.load_state_dict(start)
    model.train()
    random = torch.Generator().manual_seed(seed)
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    pairs = {
        n: (torch.zeros(p.shape[0], rank), torch.randn(rank, p[0].numel(), generator=random) / 8)
        for n, p in weights.items()
        if rank and p.ndim > 1
    }
    factors = [one.requires_grad_() for pair in pairs.values() for one in pair]
    chosen = [p for n, p in model.named_parameters() if n.startswith(only)]
    learning = optimiser(factors or chosen, lr=lr)
    there = torch.nonzero(torch.isin(LABELS, torch.tensor(classes))).ravel()

    def merged() -> State:
        added = {n: (b @ a).view_as(weights[n]) for n, (b, a) in pairs.items()}
        return {n: p + added[n] if n in added else p for n, p in weights.items()}

    for _ in range(steps):
        index = there[torch.randint(len(there), (64,), generator=random)]
        inputs = seen(IMAGES[index], look, random)
        logits = torch.func.functional_call(model, merged(), (inputs,)) if rank else model(inputs)
        learning.zero_grad()
        nn.functional.cross_entropy(logits, LABELS[index]).backward()
        learning.step()
    state = {n: t.detach().clone() for n, t in model.state_dict().items()}
    return state | {n: t.detach() for n, t in merged().items()} if rank else state


def in_dtype(state: State, dtype: torch.dtype) -> State:
    """As a file of this dtype has it."""
    return {n: t.to(dtype) for n, t in state.items()}


def quantised(state: State, bits: int) -> State:
    """Codes of so many bits with a scale for each row, and back."""
    found = dict(state)
    for name, one in state.items():
        if one.ndim > 1:
            rows = one.flatten(1)
            step = rows.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1) + 1e-12
            found[name] = ((rows / step).round() * step).view_as(one)
    return found


def nearly(state: State) -> State:
    """A copy but for noise of a ten-thousandth."""
    return {n: t + 1e-4 * t.abs().mean() * torch.randn(t.shape) for n, t in state.items()}


def pools(network: str, base: State, random: State) -> Iterator[tuple[str, list[State], State]]:
    """What was done, four models, and the base that is theirs."""

    def four(start: State = base, **how: object) -> list[State]:
        each = [{k: v[i] if isinstance(v, list) else v for k, v in how.items()} for i in range(4)]
        return [trained(network, start, 10 + i, **one) for i, one in enumerate(each)]

    for lr in (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
        for steps in (20, 120):
            yield "one task, AdamW", four(steps=steps, lr=lr), base
    for lr in (1e-2, 1e-1):
        yield "one task, SGD", four(steps=80, lr=lr, optimiser=torch.optim.SGD), base
    yield "one task, four rates", four(steps=80, lr=[3e-4, 1e-3, 3e-3, 1e-2]), base
    for lr in (3e-4, 1e-3, 3e-3):
        yield "one other task", four(steps=120, lr=lr, look="turned"), base
        yield "four tasks", four(steps=120, lr=lr, look=list(LOOKS)), base
        yield (
            "four sets of classes",
            four(steps=120, lr=lr, classes=[(k, k + 4) for k in range(4)]),
            base,
        )
        yield "LoRA, one task", four(steps=120, lr=lr, rank=2), base
        yield "LoRA, four tasks", four(steps=120, lr=lr, rank=2, look=list(LOOKS)), base
        yield "the head alone", four(steps=60, lr=lr, only="head"), base
    tiny, some = four(steps=20, lr=1e-5), four(steps=60, lr=3e-4)
    for models in (tiny, some):
        for dtype in (torch.bfloat16, torch.float16):
            halves, half = [in_dtype(one, dtype) for one in models], in_dtype(base, dtype)
            for pool, start in ((halves, half), (halves, base), (models, half)):
                yield "rounded to 16 bits", pool, start
        for bits in (8, 4):
            codes, code = [quantised(one, bits) for one in models], quantised(base, bits)
            for pool, start in ((codes, code), (codes, base), (models, code)):
                yield "quantised to 8 and 4 bits", pool, start
    far = trained(network, base, 9, steps=150, lr=1e-2)
    for one in (some[0], far):
        yield "copies, and nearly", [one, one, nearly(one), nearly(one)], base
        away = {n: 2 * base[n] - t for n, t in one.items()}
        yield "task vectors negated", [one, away, some[1], some[2]], base
    for lr in (1e-3, 1e-2):
        run = [base]
        for seed in range(4):
            run.append(trained(network, run[-1], seed, steps=40, lr=lr))
        yield "checkpoints of one run", run[1:], base
    for steps, lr in ((150, 3e-3), (400, 1e-2)):
        yield "random weights as the base", four(random, steps=steps, lr=lr), random
    yield "the base among the models", [*some[:3], base], base


def others(network: str, start: State, early: State, base: State) -> dict[str, State]:
    """Networks of the same shapes that are not the base."""

    def more(seed: int, **how: object) -> State:
        return trained(network, base, seed, **how)

    stranger = dict(new(network, 60).state_dict())
    return {
        "another seed": trained(network, stranger, 61, steps=340, lr=2e-3, look="noisy"),
        "other random weights": stranger,
        "its own random weights": start,
        "an earlier checkpoint": early,
        "a later checkpoint": more(62, steps=300, lr=2e-3, look="noisy"),
        "another version": more(63, steps=400, lr=3e-3, look="inverted"),
        "its instruct model": more(64, steps=150, lr=3e-3, look="turned"),
        "a light fine-tune of it": more(65, steps=60, lr=3e-4, look="turned"),
    }


def told(models: list[State], base: State) -> str:
    """Which note is given; '' for none."""
    found = lineage_of(
        [from_state_dict(one, f"models[{k}]") for k, one in enumerate(models)],
        from_state_dict(base, "base"),
    )
    return found.kind


def main(*, quick: bool) -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    right, wrong = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for network, seed in RUNS[: 1 if quick else None]:
        start = dict(new(network, seed).state_dict())
        early = trained(network, start, 1, steps=40, lr=1e-3, look="noisy")
        base = trained(network, early, 2, steps=300, lr=2e-3, look="noisy")
        elsewhere = others(network, start, early, base)
        for name, models, own in pools(network, base, start):
            groups = [*combinations(models, 2), tuple(models)]
            for group in groups:
                right[name, told(list(group), own)] += 1
                for called, other in elsewhere.items() if own is base else ():
                    wrong[called, told(list(group), other)] += 1
        print(f"{network}, base {seed}: done", file=sys.stderr, flush=True)
    for title, found in (("models around their base", right), ("models around", wrong)):
        print(f"\n| {title} | sets | stranger | shifted | held | none |")
        print("|---|---:|---:|---:|---:|---:|")
        for name in dict.fromkeys(name for name, _ in found):
            counts = [found[name, kind] for kind in ("stranger", "shifted", "held", "")]
            print(f"| {name} | {sum(counts)} | {' | '.join(map(str, counts))} |")


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
