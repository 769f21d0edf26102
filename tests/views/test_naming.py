"""Models go by the ends of their paths, however they were written."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.entry import from_state_dict
from stockpot.views import Cast
from stockpot.views.models import Viewed
from stockpot.views.naming import canonical, names_of, short_names

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


def test_tables_leave_out_what_tells_nothing(tmp_path: Path) -> None:
    for folder in ("run-0.1", "run-0.2"):
        (tmp_path / folder).mkdir()
    assert names_of([tmp_path / "run-0.1", tmp_path / "run-0.2"]) == ("run-0.1", "run-0.2")
    files = [tmp_path / name / "model.safetensors" for name in ("a", "b")]
    assert names_of([*files, "other/base.pt"]) == ("a/model", "b/model", "base")
    assert names_of(["x.pt", "x.bin", "y.pt"]) == ("x.pt", "x.bin", "y.pt")
    assert names_of(["x.pt", {}, from_state_dict({}, "net v1.5")]) == ("x", "model 2", "net v1.5")
    assert names_of(["/x/a.pt", "/x/a.pt", "b"]) == ("a (1)", "a (2)", "b (3)")
    assert names_of([Viewed("/x/a.pt", (Cast("float32"),)), "/x/b"]) == ("a (cast)", "b")
    assert names_of(["/x/a.pt", {}], ["one", "two"]) == ("one", "two")
