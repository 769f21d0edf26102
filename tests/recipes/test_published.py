"""A recipe and sentences of an output with other names for its inputs."""

import pytest

from stockpot.recipes.published import renamed, reworded
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.views.naming import short_names


def test_a_recipe_gets_other_names_in_every_place() -> None:
    data = {
        "method": {"name": "ties", "density": 0.3},
        "base": "/x/base",
        "models": [{"path": "/x/a", "statistics": "/x/s"}, {"path": "/x/b", "statistics": "/x/t"}],
        "rules": [
            {"match": "*.w", "copy": "/x/b"},
            {"match": "*.v", "copy": "base"},
            {"match": "*.u", "copy": 0},
            {"match": "*.t", "method": "average"},
        ],
    }
    plain = parse_recipe(data).resolved()
    names = short_names(["/x/base", "/x/a", "/x/b", "/x/s", "/x/t"])
    published = renamed(plain, names.__getitem__)
    assert "/x" not in str(published)
    assert [rule.get("copy") for rule in published["rules"]] == ["b", "base", 0, None]
    back = {name: path for path, name in names.items()}
    assert renamed(published, back.__getitem__) == plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/x/ab: read one.", "ab: read one."),
        ("/x/a is like /x/ab", "a is like ab"),
        ("a banana", "a banana"),
    ],
)
def test_sentences_call_inputs_by_their_names(text: str, words: str) -> None:
    assert reworded(text, {"/x/a": "a", "/x/ab": "ab", "a": "x/a"}) == words
