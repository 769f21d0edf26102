"""Small checkpoints with known task vectors, and the slow float64 reference of their measures."""

import numpy as np
import torch
from safetensors.torch import save_file

SHAPES = {"blocks.0.attn.weight": (12, 20), "blocks.1.mlp.weight": (30, 9)}


def drawn(seed, rows, columns, rank=None):
    made = torch.Generator().manual_seed(seed)
    if rank is None:
        return torch.randn(rows, columns, generator=made)
    left = torch.randn(rows, rank, generator=made)
    return left @ torch.randn(rank, columns, generator=made)


def checkpoints(folder, count=3, shapes=SHAPES, dtype=torch.float32):
    """Paths of models, and of the base; the task vectors are of low rank with some noise."""
    base = {name: drawn(1, *shape) for name, shape in shapes.items()}
    base |= {"head.weight": drawn(2, 5, 7), "blocks.0.bias": torch.zeros(12)}
    save_file({n: t.to(dtype) for n, t in base.items()}, folder / "base.safetensors")
    paths = []
    for task in range(count):
        model = dict(base)
        for number, (name, shape) in enumerate(shapes.items()):
            seed = 100 * task + number
            delta = drawn(seed, *shape, rank=3) + drawn(seed + 50, *shape)
            model[name] = base[name] + 0.1 * delta
        paths.append(folder / f"task-{task}.safetensors")
        save_file({n: t.to(dtype) for n, t in model.items()}, paths[-1])
    return paths, folder / "base.safetensors"


def reference(deltas, ranks):
    """I, R and overlap at each rank, effective ranks: from full SVDs, with n x n products."""
    parts = [np.linalg.svd(np.asarray(d, dtype=np.float64), full_matrices=False) for d in deltas]
    full, pairs = min(deltas[0].shape), len(deltas) * (len(deltas) - 1)
    rows = []
    for rank in ranks:
        k = max(1, int(rank * full + 1e-9))
        interference = overlap = residual = 0.0
        for i, (ui, si, vi) in enumerate(parts):
            cut = (ui[:, :k] * si[:k]) @ vi[:k]
            residual += np.linalg.norm(np.asarray(deltas[i], dtype=np.float64) - cut) ** 2
            for j, (_, sj, vj) in enumerate(parts):
                if i == j:
                    continue
                a = vi[:k].T * (si[:k] / np.linalg.norm(si)) @ vi[:k]  # n x n: S in V's frame
                b = vj[:k].T * (sj[:k] / np.linalg.norm(sj)) @ vj[:k]
                interference += np.linalg.norm(a @ b)
                projections = (vi[:k].T @ vi[:k]) @ (vj[:k].T @ vj[:k])
                overlap += np.linalg.norm(projections) ** 2 / k / pairs
        rows.append((interference, residual, overlap))
    entropies = []
    for _, s, _ in parts:
        p = s[s > 0] / s.sum()
        entropies.append(float(np.exp(-(p * np.log(p)).sum())))
    return rows, entropies
