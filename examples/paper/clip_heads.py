"""The head of a `clip:` network for one data set: a text embedding for each of its classes.

python examples/paper/clip_heads.py models/clip-vit-base-patch32 sun397 data/sun397/train

Reads a whole CLIP with its tokenizer, takes a class from each folder, in the order in which
`image-folder` numbers them, and writes heads/NAME.safetensors beside the weights. An underscore in
a folder's name is read as a space. More templates (--template, repeatable) are averaged, each
embedding at length 1.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, CLIPModel

from stockpot.data.formats.labels import classes_of


def embeddings(directory: Path, classes: list[str], templates: list[str]) -> dict[str, Tensor]:
    """`text_embeds` [classes, D] and `logit_scale` [], as `clip:` reads them."""
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model = CLIPModel.from_pretrained(directory, local_files_only=True).eval()
    total = torch.zeros(len(classes), model.config.projection_dim)
    for template in templates:
        texts = [template.format(one.replace("_", " ")) for one in classes]
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            pooled = model.text_model(**tokens).pooler_output
            total += F.normalize(model.text_projection(pooled), dim=-1)
    scale = model.logit_scale.detach().clone()
    return {"text_embeds": F.normalize(total, dim=-1), "logit_scale": scale}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="a CLIP of transformers")
    parser.add_argument("name", help="of the head")
    parser.add_argument("folder", type=Path, help="with one folder for each class")
    parser.add_argument("--template", action="append", help='by default "a photo of a {}."')
    given = parser.parse_args()
    classes = list(classes_of(one.name for one in given.folder.iterdir() if one.is_dir()))
    tensors = embeddings(given.directory, classes, given.template or ["a photo of a {}."])
    heads = given.directory / "heads"
    heads.mkdir(exist_ok=True)
    save_file(tensors, heads / f"{given.name}.safetensors")
    print(f"{len(classes)} classes: {heads / given.name}.safetensors")


if __name__ == "__main__":
    main()
