import json

import numpy as np
import pytest
import torch

from stockpot.data import OnlyDomain, load, split
from stockpot.errors import FieldError, StockpotError

SUBCATEGORIES = {"Animals & Nature": "animal-mammal", "Flags": "country-flag", "Objects": "tool"}


def entry(number, category):
    return {
        "name": f"EMOJI {number}",
        "unified": f"1F{number:03}",
        "image": f"1f{number:03}.png",
        "category": category,
        "subcategory": SUBCATEGORIES.get(category, "skin-tone"),
        "has_img_apple": True,
        "has_img_google": True,
        "has_img_twitter": number != 5,
        **({"skin_variations": {"1F3FB": {}}} if number % 10 == 0 else {}),
    }


@pytest.fixture
def modules(tmp_path, draw):
    entries = [
        *(entry(number, "Animals & Nature") for number in range(24)),
        *(entry(number, "Flags") for number in range(24, 48)),
        *(entry(number, "Objects") for number in range(48, 60)),
        entry(60, "Component"),
    ]
    for vendor in ("google", "twitter"):
        package = tmp_path / "node_modules" / f"emoji-datasource-{vendor}"
        for one in entries:
            if one[f"has_img_{vendor}"]:
                draw(package / "img" / vendor / "64" / one["image"], (64, 64), "RGBA")
        (package / "emoji.json").write_text(json.dumps(entries))
    return tmp_path / "node_modules"


def test_both_vendors_are_two_domains_of_the_same_emoji(modules):
    data = load({"name": "emoji", "path": str(modules), "size": 16}).train
    assert data.classes == ("Animals & Nature", "Flags", "Objects")
    assert data.domains == ("google", "twitter")
    assert data.inputs.shape == (60 + 59, 3, 16, 16)
    assert data.inputs.dtype == torch.uint8
    google, twitter = (OnlyDomain(domain=one)(data) for one in data.domains)
    assert google.originals.tolist() == list(range(60))
    assert set(google.originals.tolist()) - set(twitter.originals.tolist()) == {5}
    assert google.labels[twitter.originals].tolist() == twitter.labels.tolist()


def test_grey_emoji_have_one_channel(modules):
    data = load({"name": "emoji", "path": str(modules), "size": 16, "channels": 1}).train
    assert data.inputs.shape == (60 + 59, 1, 16, 16)
    with pytest.raises(FieldError, match="channels must be one of 1, 3"):
        load({"name": "emoji", "path": str(modules), "channels": 2})


def test_no_emoji_is_in_two_splits(modules):
    splits = split(load({"name": "emoji", "path": str(modules)}), selection=0.2, test=0.25)
    seen = [set(p.originals.tolist()) for p in (splits.train, splits.selection, splits.test)]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 60
    assert len(OnlyDomain(domain="twitter")(splits.test)) in (14, 15)


@pytest.mark.parametrize("form", ["parent", "package", "list", "unpacked"])
def test_packages_are_found_wherever_npm_put_them(modules, tmp_path, form):
    path = {
        "parent": str(tmp_path),
        "package": str(modules / "emoji-datasource-google"),
        "list": [str(modules / f"emoji-datasource-{one}") for one in ("google", "twitter")],
        "unpacked": str(tmp_path / "google"),
    }[form]
    if form == "unpacked":
        (tmp_path / "google").mkdir()
        (modules / "emoji-datasource-google").rename(tmp_path / "google" / "package")
    data = load({"name": "emoji", "path": path, "vendor": "google"}).train
    assert len(data) == 60
    assert data.domains == ("google",)


def test_several_labels_are_what_the_file_states(modules):
    data = load(
        {"name": "emoji", "path": str(modules), "labels": "multi", "vendor": "google"}
    ).train
    assert data.classes == (
        "Animals & Nature",
        "Flags",
        "Objects",
        "animal-mammal",
        "country-flag",
        "skin-tones",
    )
    held = [{data.classes[place] for place in row.nonzero().flatten()} for row in data.labels]
    assert held[0] == {"Animals & Nature", "animal-mammal", "skin-tones"}
    assert held[25] == {"Flags", "country-flag"}
    assert held[49] == {"Objects"}  # fewer than 20 tools: no label of their own


def test_a_vendor_that_is_not_there_names_the_packages(modules):
    path = str(modules / "emoji-datasource-google")
    with pytest.raises(StockpotError, match=r"img/twitter/64 .* npm install emoji-datasource"):
        load({"name": "emoji", "path": path})
    with pytest.raises(FieldError, match="vendor must be one of 'google', 'twitter', 'both'"):
        load({"name": "emoji", "path": path, "vendor": "apple"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("{}", "no list"),
        ("[" * 100_000, "no JSON"),
        ('[{"category": "Flags"}]', "without category, subcategory and image"),
        ("[]", "lists no emoji"),
    ],
)
def test_a_damaged_list_is_refused(modules, text, words):
    package = modules / "emoji-datasource-google"
    (package / "emoji.json").write_text(text)
    with pytest.raises(StockpotError, match=words):
        load({"name": "emoji", "path": str(package), "vendor": "google"})


def test_an_image_name_must_not_lead_elsewhere(modules):
    package = modules / "emoji-datasource-google"
    bad = entry(1, "Flags") | {"image": "../../../secret.png"}
    (package / "emoji.json").write_text(json.dumps([bad]))
    with pytest.raises(StockpotError, match="no plain file name"):
        load({"name": "emoji", "path": str(package), "vendor": "google"})


def test_drawings_are_on_white(modules):
    file = modules / "emoji-datasource-google" / "img" / "google" / "64" / "1f000.png"
    from PIL import Image

    Image.fromarray(np.zeros((64, 64, 4), np.uint8)).save(file)
    data = load({"name": "emoji", "path": str(modules), "vendor": "google"}).train
    assert (data.inputs[0] == 255).all()
