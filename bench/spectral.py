"""CART and TSV-M against the same arithmetic with torch.linalg.svd, in the same run.

Eight fine-tunes shaped like the vision tower of ViT-B/32 (width 768, fused query, key and value),
written by the benchmark: task vectors share a part, and their singular values decay like i^-0.6.

    python -m bench.spectral --work DIR [--blocks 12] [--runs 3]
    python -m bench.spectral --work DIR --sweep            # ten ranks and six scales of CART
    python -m bench.spectral --work DIR --decompositions   # top_k against a thin SVD, one thread
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from bench.measure import Summary, clean_slate, execute, interleave
from stockpot import system
from stockpot.factors import factor_to
from stockpot.methods import Cart
from stockpot.networks.weights import save_state
from stockpot.ops.spectra.low_rank import Ranks, top_k

COUNT, WIDTH, RANK, SCALE = 8, 768, 0.12, 2.0
TARGET, MEMORY = 3.0, "2GiB"
METHODS = ("cart", "tsv-m")
RANKS, SCALES = [0.02 * i for i in range(1, 11)], [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
SHAPES, SHARES, POWERS = ((768, 768), (3072, 768), (4096, 1024)), (0.08, 0.12, 1 / 8), (0.6, 1.0)


def shapes(blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as open_clip has them."""
    yield "visual.conv1.weight", (WIDTH, 3, 32, 32)
    yield "visual.positional_embedding", (50, WIDTH)
    for i in range(blocks):
        block = f"visual.transformer.resblocks.{i}"
        yield f"{block}.attn.in_proj_weight", (3 * WIDTH, WIDTH)
        yield f"{block}.attn.in_proj_bias", (3 * WIDTH,)
        yield f"{block}.attn.out_proj.weight", (WIDTH, WIDTH)
        yield f"{block}.mlp.c_fc.weight", (4 * WIDTH, WIDTH)
        yield f"{block}.mlp.c_proj.weight", (WIDTH, 4 * WIDTH)
        yield f"{block}.ln_1.weight", (WIDTH,)


def is_decomposed(name: str, tensor: Tensor) -> bool:
    return tensor.ndim == 2 and ("attn" in name or "mlp" in name)


def write_family(work: Path, blocks: int) -> list[Path]:
    """The base and eight models; those of an earlier run with as many blocks are kept."""
    folder = work / f"spectral-{blocks}"
    paths = [folder / f"{k}.safetensors" for k in range(COUNT + 1)]
    if all(path.is_file() for path in paths):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    base = {n: 0.02 * torch.randn(s, generator=generator) for n, s in shapes(blocks)}
    shared = {n: change(t, generator) for n, t in base.items()}
    save_file(base, paths[0])
    for path in paths[1:]:
        own = {n: change(t, generator) for n, t in base.items()}
        save_file({n: t + 0.5 * shared[n] + own[n] for n, t in base.items()}, path)
    return paths


def change(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """A task vector at a fortieth of the weights' spread; of a matrix, with values that decay."""
    drawn = torch.randn(tensor.shape, generator=generator)
    if tensor.ndim != 2:
        return 0.0005 * drawn
    size = min(tensor.shape)
    decay = torch.arange(1, size + 1) ** -0.6
    left = torch.randn(tensor.shape[0], size, generator=generator) * decay
    matrix = left @ torch.randn(size, tensor.shape[1], generator=generator)
    return matrix * (0.0005 / matrix.std())


def plain(method: str, paths: list[Path], out: Path) -> None:
    """The merge as one would write it down: tensor after tensor, torch.linalg.svd in float32."""
    files = [safe_open(path, "pt") for path in paths]
    merge: Callable[[Tensor, Tensor], Tensor] = plain_cart if method == "cart" else plain_tsv_m
    merged: dict[str, Tensor] = {}
    for name in files[0].keys():  # noqa: SIM118 - it is no mapping
        base, *models = (file.get_tensor(name) for file in files)
        stacked = torch.stack(models)
        merged[name] = merge(stacked, base) if is_decomposed(name, base) else stacked.mean(0)
    save_file(merged, out)


def plain_cart(models_TMN: Tensor, _: Tensor) -> Tensor:
    centre = models_TMN.mean(0)
    u, s, v = torch.linalg.svd(models_TMN - centre, full_matrices=False)
    k = int(RANK * s.shape[-1])
    return centre + SCALE * ((u[..., :k] * s[:, None, :k]) @ v[:, :k]).sum(0)


def plain_tsv_m(models_TMN: Tensor, base: Tensor) -> Tensor:
    u, s, v = torch.linalg.svd(models_TMN - base, full_matrices=False)
    k = s.shape[-1] // len(models_TMN)
    left = torch.cat(list(u[..., :k]), 1)
    right = torch.cat(list(v[:, :k]), 0)
    p, _, q = torch.linalg.svd(left, full_matrices=False)
    x, _, y = torch.linalg.svd(right, full_matrices=False)
    return base + (p @ q * s[:, :k].flatten()) @ (x @ y)


def bench(work: Path, blocks: int, runs: int) -> None:
    paths = write_family(work, blocks)
    outputs = work / "out"
    print(f"{COUNT} models, {blocks} blocks of width {WIDTH}; {torch.get_num_threads()} threads")
    for method in METHODS:
        own = {
            "cart": ["--rank", RANK, "--scale", SCALE],
            "tsv-m": ["--base", paths[0], "--tensors", "attention-mlp"],
        }[method]
        ours = [sys.executable, "-m", "stockpot", "merge", method, *paths[1:], *own]
        ours += ["--memory", MEMORY, "--device", "cpu", "--quiet"]
        ours += ["--out", outputs / "ours.safetensors"]
        theirs = [sys.executable, "-m", "bench.spectral", "--plain", method, "--work", work]
        theirs += ["--blocks", blocks]
        found = interleave(
            {"stockpot": lambda a=ours: execute(a), "plain": lambda a=theirs: execute(a)},
            runs,
            clean_slate(outputs, paths),
        )
        report(method, found)
        execute(ours)
        execute(theirs)
        print(f"  relative difference of the merged change: {difference(paths, outputs):.1e}")


def report(method: str, found: dict[str, Summary]) -> None:
    print(f"{method}:")
    for name, summary in found.items():
        cpu = min(run.cpu_seconds for run in summary.runs)
        print(f"  {name}: {summary}, {cpu:.1f} processor-seconds, {summary.peak_mb:.0f} MB")
    ours, theirs = found["stockpot"], found["plain"]
    if not ours.fault and not theirs.fault:
        least = [min(run.cpu_seconds for run in s.runs) for s in (theirs, ours)]
        ratio = theirs.seconds / ours.seconds
        print(f"  {ratio:.2f}x (target {TARGET:g}x), {least[0] / least[1]:.2f}x processor time")


def difference(paths: list[Path], outputs: Path) -> float:
    """Of the decomposed tensors, against what the merge moves away from the average."""
    ours, plainly = (load_file(outputs / f"{n}.safetensors") for n in ("ours", "plain"))
    models = [load_file(path) for path in paths[1:]]
    missed = moved = 0.0
    for name, tensor in plainly.items():
        if is_decomposed(name, tensor):
            average = torch.stack([model[name] for model in models]).mean(0)
            missed += float((ours[name] - tensor).double().norm() ** 2)
            moved += float((tensor - average).double().norm() ** 2)
    return (missed / moved) ** 0.5


def sweep(work: Path, blocks: int) -> None:
    """All ranks and scales from factors, every merge written, against one merge and as many files.

    In one process; the one merge is at the largest rank, and its time is that of the sweep's worth:
    the target is twice that, plus writing.
    """
    paths = write_family(work, blocks)
    out = work / "out" / "sweep"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    merged, factors, file = out / "merged.safetensors", out / "factors", out / "one.safetensors"
    once = timed(lambda: sp.merge_to(merged, paths[1:], Cart(rank=max(RANKS), scale=SCALE)))
    state = load_file(merged)
    count = len(RANKS) * len(SCALES)

    def write_all() -> None:
        for _ in range(count):
            save_state(state, file, {})

    def sweep_all() -> None:
        kept = factor_to(factors, paths[1:], Cart(rank=max(RANKS)))
        for _, _, found in kept.sweep(RANKS, SCALES):
            save_state(found, file, {})

    writing, swept = timed(write_all), timed(sweep_all)
    print(f"{COUNT} models, {blocks} blocks; {len(RANKS)} ranks x {len(SCALES)} scales; target: 2")
    for i, kind in enumerate(("wall time", "processor time")):
        print(
            f"  {kind}: one merge {once[i]:.1f} s, writing {count} files {writing[i]:.1f} s, sweep "
            f"{swept[i]:.1f} s; less writing {(swept[i] - writing[i]) / once[i]:.2f} merges"
        )
    shutil.rmtree(out)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Its wall time and processor time in seconds."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def decompositions() -> None:
    """Processor time of one thread, least of three; spectra i^-p."""
    torch.set_num_threads(1)
    system.here.keep_freed_blocks()  # as a merge does
    print("matrix, p, rank: top_k, thin SVD in float32, ratio; error, certified bound")
    for rows, columns in SHAPES:
        for power in POWERS:
            generator = torch.Generator().manual_seed(0)
            size = min(rows, columns)
            left = torch.randn(rows, size, generator=generator)
            left *= torch.arange(1, size + 1) ** -power
            matrix = left @ torch.randn(size, columns, generator=generator)
            u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
            plainly = least(lambda m=matrix: torch.linalg.svd(m, full_matrices=False))
            for share in SHARES:
                ranks = Ranks(fraction=share)
                ours = least(lambda m=matrix, r=ranks: top_k(m, r))
                found, k = top_k(matrix, ranks), int(share * size)
                best = (u[:, :k] * s[:k]) @ v[:k]
                made = (found.left.double() * found.values) @ found.right.double()
                error = float((made - best).norm() / best.norm())
                print(
                    f"{rows} x {columns}, {power}, {share:.3f}: {ours:.3f} s, {plainly:.3f} s, "
                    f"{plainly / ours:.2f}x; {error:.1e}, {found.bound:.1e}",
                    flush=True,
                )


def least(work: Callable[[], object]) -> float:
    """Of three runs, processor time in seconds."""
    found: list[float] = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--plain", choices=METHODS, help="only that, into DIR/out")
    parser.add_argument("--sweep", action="store_true", help="ranks and scales from factors")
    parser.add_argument("--decompositions", action="store_true", help="top_k alone")
    given = parser.parse_args()
    if given.sweep:
        sweep(given.work, given.blocks)
    elif given.decompositions:
        decompositions()
    elif given.plain:
        paths = write_family(given.work, given.blocks)
        plain(given.plain, paths, given.work / "out" / "plain.safetensors")
    else:
        bench(given.work, given.blocks, given.runs)


if __name__ == "__main__":
    main()
