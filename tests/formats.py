"""Small files in the exact format of published image sets: for the readers and the experiments."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WNIDS = ("n02124075", "n04067472", "n04540053")
ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")
FINDINGS = ("No Finding", "Cardiomegaly|Emphysema", "Hernia", "Effusion")
CHEST_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
CHANNELS = {"L": (), "RGB": (3,), "RGBA": (4,)}


def picture(rng: np.random.Generator, path: Path, size=(8, 8), mode="RGB") -> np.ndarray:
    """Write a picture of random pixels; returns them as written, [H, W] or [H, W, C]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (size[1], size[0], *CHANNELS[mode]), dtype=np.uint8)
    Image.fromarray(pixels, mode=None).save(path)
    return pixels


def dump(path: Path, content: object, protocol: int = 2) -> None:
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def batch(rng, count: int, key: str = "labels", classes: int = 10) -> dict[bytes, Any]:
    """One of CIFAR's files."""
    return {
        b"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        key.encode(): [number % classes for number in range(count)],
        b"filenames": [b"x.png"] * count,
    }


def cifar_10(folder: Path, rng, train: int = 4, test: int = 10) -> list[dict[bytes, Any]]:
    """Five batches of `train` images, which are returned, and `test` images."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = [batch(rng, train) for _ in range(5)]
    for number, content in enumerate(batches, 1):
        dump(folder / f"data_batch_{number}", content)
    dump(folder / "test_batch", batch(rng, test))
    names = [f"class {number}".encode() for number in range(10)]
    dump(folder / "batches.meta", {b"label_names": names, b"num_vis": 3072})
    return batches


def cifar_100(folder: Path, rng, train: int = 100, test: int = 100, used: int = 100) -> None:
    """Images of the first `used` of its hundred classes."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        content = batch(rng, count, "fine_labels", used)
        dump(folder / part, content | {b"coarse_labels": [0] * count})
    names = [f"fine {number}".encode() for number in range(100)]
    dump(folder / "meta", {b"fine_label_names": names, b"coarse_label_names": []})


def tiny_imagenet(folder: Path, rng, train: int = 3, test: int = 4) -> None:
    """Three classes of `train` images each, and `test` validation images, all but one grey."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    words = [f"{WNIDS[0]}\tEgyptian cat", f"{WNIDS[1]}\treel, spool", f"{WNIDS[2]}\treel"]
    (folder / "words.txt").write_text("\n".join([*words, "n00000000\tnot used"]))
    for wnid in WNIDS:
        for number in range(train):
            picture(
                rng, folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", size=(64, 64)
            )
    lines = []
    for number in range(test):
        mode = "L" if number else "RGB"
        picture(rng, folder / "val" / "images" / f"val_{number}.JPEG", (64, 64), mode)
        lines.append(f"val_{number}.JPEG\t{WNIDS[number % 3]}\t0\t32\t44\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines))


def celeba(folder: Path, rng, parts=(6, 2, 1), ending: str = "txt") -> dict[str, tuple[int, ...]]:
    """Images of the three parts, as published (txt) or as on Kaggle (csv); returns their signs."""
    folder.mkdir(parents=True, exist_ok=True)
    signs = {
        f"{number:06}.jpg": (number % 2, number % 3 == 0, 1) for number in range(1, sum(parts) + 1)
    }
    part_of = dict(zip(signs, np.repeat([0, 1, 2], parts), strict=True))
    gap = "," if ending == "csv" else "  "
    rows = [gap.join([file, *("1" if one else "-1" for one in has)]) for file, has in signs.items()]
    lines = [f"{file}{gap[0]}{part_of[file]}" for file in signs]
    if ending == "csv":
        rows.insert(0, ",".join(["image_id", *ATTRIBUTES]))
        lines.insert(0, "image_id,partition")
    else:
        rows[:0] = [str(len(signs)), " ".join(ATTRIBUTES) + " "]
    (folder / f"list_attr_celeba.{ending}").write_text("\n".join(rows))
    (folder / f"list_eval_partition.{ending}").write_text("\n".join(lines))
    inner = "img_align_celeba/img_align_celeba" if ending == "csv" else "img_align_celeba"
    for file in signs:
        picture(rng, folder / inner / file, (178, 218))
    return signs


def chestx_ray14(folder: Path, rng, patients: int = 12, tested: int = 2, side: int = 16) -> None:
    """Three radiographs of each patient, those of the last `tested` in the official test list."""
    rows, files = [], []
    for patient in range(1, patients + 1):
        for visit in range(3):
            file = f"{patient:08}_{visit:03}.png"
            found = FINDINGS[patient % 4]
            rows.append(f"{file},{found},{visit},{patient},58,M,PA,2682,2749,0.1,0.1,")
            archive = folder / f"images_{1 + patient % 2:03}" / "images"
            picture(rng, archive / file, (side, side), "L")
            files.append(file)
    # the published header has as many cells as the rows: its brackets hold commas
    (folder / "Data_Entry_2017.csv").write_text("\n".join([CHEST_HEADER, *rows]))
    cut = 3 * (patients - tested)
    (folder / "train_val_list.txt").write_text("\n".join(files[:cut]))
    (folder / "test_list.txt").write_text("\n".join(files[cut:]))


def medmnist(
    rng, shape=(28, 28, 3), width: int = 1, classes: int = 4, parts=(12, 4, 6)
) -> dict[str, np.ndarray]:
    """The arrays of one of MedMNIST's files; several labels are 0 or 1."""
    found = {}
    for part, count in zip(("train", "val", "test"), parts, strict=True):
        found[f"{part}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        numbers = np.arange(count * width).reshape(count, width)
        found[f"{part}_labels"] = (numbers % (classes if width == 1 else 2)).astype(np.uint8)
    return found


def image_folder(folder: Path, rng, classes, train: int, test: int, side: int) -> None:
    """Pictures of each class in folders of their own, in train/ and test/."""
    for part, count in (("train", train), ("test", test)):
        for name in classes:
            for number in range(count):
                picture(rng, folder / part / name / f"{number}.png", (side, side))


def clip(folder: Path, side: int) -> Any:
    """A whole CLIP of transformers with random weights, and a tokenizer; gives its vision part."""
    import json

    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 32, "projection_dim": 8}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    tokens = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
    config = CLIPConfig(
        text_config=small
        | {
            "vocab_size": len(tokens),
            "max_position_embeddings": 77,
            "bos_token_id": len(tokens) - 2,
            "eos_token_id": len(tokens) - 1,
        },
        vision_config=small | {"image_size": side, "patch_size": 8},
        projection_dim=8,
    )
    model = CLIPModel(config)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({one: i for i, one in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    marks = {"bos_token": tokens[-2], "eos_token": tokens[-1], "unk_token": tokens[-1]}
    about = {"tokenizer_class": "CLIPTokenizer", "pad_token": tokens[-1], **marks}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return model


def fine_tune(model: Any, folder: Path, seed: int) -> None:
    """A vision tower as fine-tunes are published: with a prefix, without the projection."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    model.config.vision_config.save_pretrained(folder)
    generator = torch.Generator().manual_seed(seed)
    state = {
        f"vision_model.{name}": one + 0.02 * torch.randn(one.shape, generator=generator)
        for name, one in model.vision_model.state_dict().items()
        if one.is_floating_point()
    }
    save_file(state, folder / "model.safetensors", {"format": "pt"})
