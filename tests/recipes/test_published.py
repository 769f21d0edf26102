"""Inputs go by names that say nothing of the machine, however they were written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.recipes.published import canonical, renamed, reworded, short_names
from stockpot.recipes.reading.recipe import parse_recipe

parts = st.sampled_from(["a", "b", "model", "1"])
paths = st.lists(parts, min_size=1, max_size=4).map(lambda some: "/nowhere/" + "/".join(some))


@given(st.lists(paths, min_size=1, max_size=6))
def test_names_are_ends_of_paths_and_tell_them_apart(some: list[str]) -> None:
    names = short_names(some)
    assert len({names[path] for path in some}) == len(set(some))
    assert all(path.endswith("/" + names[path]) for path in some)
    assert all(not name.startswith("/") for name in names.values())


@given(paths)
def test_one_path_has_its_last_component(path: str) -> None:
    assert short_names([path, path]) == {path: path.rsplit("/", 1)[1]}


def test_a_name_that_is_no_text_becomes_one() -> None:
    assert short_names(["x/\udcff"]) == {"x/\udcff": "\\udcff"}


def test_links_to_folders_are_resolved_and_to_files_of_another_kind_not(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("")
    (tmp_path / "run-7").mkdir()
    (tmp_path / "latest").symlink_to("run-7")
    (tmp_path / "model.safetensors").symlink_to("blob")
    (tmp_path / "alias.safetensors").symlink_to("real.safetensors")
    (tmp_path / "real.safetensors").write_text("")
    wanted = {
        "latest": "run-7", "run-7/": "run-7", "model.safetensors": "model.safetensors",
        "alias.safetensors": "real.safetensors", "nowhere": "nowhere",
    }  # fmt: skip
    for given_as, name in wanted.items():
        assert Path(canonical(f"{tmp_path}/{given_as}")).name == name


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
