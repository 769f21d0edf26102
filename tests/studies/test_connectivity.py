"""The study over pools: identities of barriers and planes, re-estimation, files and page."""

import csv
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from stockpot.cli.app import execute
from stockpot.data import Dataset, Splits
from stockpot.errors import FieldError
from stockpot.evaluation import nll, predict
from stockpot.networks import build, reestimate_batch_norm
from stockpot.report import render
from stockpot.studies import Connectivity
from stockpot.studies.connectivity.computing import batches, some_of
from stockpot.studies.connectivity.redrawn import OfSamples, Redrawn
from stockpot.studies.connectivity.result import ConnectivityResult, WeightPath
from stockpot.training import fuse_scopes, rescale_to_scope, scope_of

from ..report.test_browser import FIGURES, OVERLAPS
from .test_curves import blobs


class Kept:
    """A network of a pool, in memory instead of a file."""

    def __init__(self, name, network, splits, build):
        self.name, self._network = name, network
        self.splits, self.build = splits, build

    @property
    def network(self):
        return self._network


class Pool:
    """As `stockpot.training.Pool`, of networks in memory."""

    def __init__(self, seed, kept, spec="mlp"):
        self.seed, self.kept, self.cell, self.network_spec = seed, kept, "", spec
        self.splits, self.build = kept[0].splits, kept[0].build


def pool_of(networks, build, seed=0):
    splits = Splits(train=blobs(0, 120), selection=blobs(1, 40), test=blobs(2, 90))
    kept = [Kept(f"net-{k}", one.eval(), splits, build) for k, one in enumerate(networks)]
    return Pool(seed, kept)


def kind(name, **keys):
    def made(seed=0):
        return build(name, num_classes=4, in_channels=1, image_size=8, seed=seed, **keys).eval()

    return made


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).eval()


@pytest.fixture(scope="module")
def found():
    """Two pools of three small networks with batch norm, everything looked at."""
    made = kind("resnet-8", width=4)
    pools = [pool_of([made(3 * seed + k) for k in range(3)], made, seed) for seed in (0, 1)]
    return Connectivity(points=5, plane=5, epochs=2)(pools)


def test_the_way_to_itself_has_no_barrier():
    made = kind("cnn", width=4)
    network = made()
    found = Connectivity(curves=(), plane=0)([pool_of([network, network], made)])
    assert [one.barrier for one in found.paths] == [0, 0]
    assert [one.drop for one in found.paths] == [0, 0]
    assert all(len(set(one.loss)) == 1 for one in found.paths)


def test_a_convex_loss_has_no_barrier():
    found = Connectivity(curves=(), plane=0)([pool_of([linear(0), linear(1)], linear)])
    for one in found.paths:
        assert max(one.rises) <= 1e-6
        assert min(one.rises[1:-1]) < 0


def test_barrier_and_drop_by_hand():
    path = WeightPath(
        cell="", pool=0, one="a", other="b", way="line", statistics="interpolated", split="test",
        at=(0.0, 0.25, 0.5, 0.75, 1.0), loss=(1.0, 2.0, 2.2, 3.0, 2.0),
        accuracy=(0.9, 0.8, 0.4, 0.7, 0.7),
    )  # fmt: skip
    assert path.rises == pytest.approx((0, 0.75, 0.7, 1.25, 0))
    assert path.barrier == pytest.approx(1.25)
    assert path.drop == pytest.approx(0.4)


def test_corners_of_a_plane_are_its_networks(found):
    for plane in found.planes:
        ends = {
            (one.one, one.other): (one.loss, one.accuracy)
            for one in found.paths
            if (one.pool, one.way, one.statistics, one.split)
            == (plane.pool, "line", plane.statistics, plane.split)
        }
        zero, unit = plane.places.index(0), plane.places.index(1)
        a, b = ends["net-0", "net-1"], ends["net-0", "net-2"]
        for values, k in ((plane.loss, 0), (plane.accuracy, 1)):
            assert values[zero][zero] == pytest.approx(a[k][0], rel=1e-5)
            assert values[zero][unit] == pytest.approx(a[k][-1], rel=1e-5)
            assert values[unit][zero] == pytest.approx(b[k][-1], rel=1e-5)


def test_distances_in_the_plane_are_those_of_the_weights(found):
    made = kind("resnet-8", width=4)
    flat = [nn.utils.parameters_to_vector(made(k).parameters()).detach() for k in range(3)]
    corners = torch.tensor(next(one.corners for one in found.planes if one.pool == 0))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        wanted = float((flat[i] - flat[j]).norm())
        assert float((corners[i] - corners[j]).norm()) == pytest.approx(wanted, rel=1e-4)


def test_statistics_are_estimated_again_at_each_point_of_training_data(found):
    made, splits = kind("resnet-8", width=4), pool_of([kind("cnn", width=4)()], None).splits
    half = made()
    states = [made(0).state_dict(), made(1).state_dict()]
    half.load_state_dict({n: (states[0][n] + states[1][n]) / 2 for n in states[0]})
    reestimate_batch_norm(half, batches(splits.train))
    with torch.no_grad():
        logits = half.eval()(splits.test.images)
    wanted = float(nn.functional.cross_entropy(logits, splits.test.labels))
    path = next(
        one
        for one in found.paths
        if (one.pool, one.one, one.other, one.way, one.statistics, one.split)
        == (0, "net-0", "net-1", "line", "re-estimated", "test")
    )
    assert path.loss[2] == pytest.approx(wanted, rel=1e-4)
    plain = next(one for one in found.paths if one.statistics == "interpolated")
    assert plain.loss[2] != pytest.approx(wanted, rel=1e-3)


def test_networks_without_batch_norm_have_no_second_statistics():
    made = kind("mlp", width=8)
    one = Connectivity(curves=("polygon",), points=3)([pool_of([made(0), made(1)], made)])
    assert {(path.way, path.statistics) for path in one.paths} == {
        ("line", "interpolated"),
        ("polygon", "interpolated"),
    }
    assert not one.planes


def test_pairs_and_rows_over_pools(found):
    pairs = {(one.pool, one.one, one.other) for one in found.paths if one.way == "line"}
    assert len(pairs) == 6
    overall = [one for one in found.over_pools() if one.statistics == "interpolated"]
    lines = [
        one for one in found.paths
        if (one.way, one.statistics, one.split) == ("line", "interpolated", "test")
    ]  # fmt: skip
    by_pool = [sum(p.barrier for p in lines if p.pool == seed) / 3 for seed in (0, 1)]
    assert overall[0].barrier == pytest.approx(sum(by_pool) / 2)
    assert math.isnan(overall[0].barrier_low)  # two pools are too few
    assert overall[0].paths == 6
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    assert len(rows) == len(found.barriers)
    assert {one["pool"] for one in rows} == {"all", "0", "1"}
    made = kind("mlp", width=8)
    four = [pool_of([made(k) for k in range(4)], made)]
    for pairs, count in (("all", 6), ("first", 3), (2, 2)):
        look = Connectivity(pairs=pairs, curves=(), plane=0, points=3)
        assert len(look(four).paths) == 2 * count


def test_ends_are_given_one_scope_where_that_is_asked_for():
    made = kind("mlp", width=8)
    networks = [made(0), made(1)]
    with torch.no_grad():
        networks[1].body[1].weight.mul_(3)
    look = Connectivity(curves=(), plane=0, points=3, rescale="weights")
    plain = Connectivity(curves=(), plane=0, points=3)
    pool = pool_of(networks, made)
    rescaled, as_they_are = look([pool]), plain([pool])
    assert rescaled.paths[0].loss[-1] != pytest.approx(as_they_are.paths[0].loss[-1], rel=1e-4)
    target = fuse_scopes([scope_of(one) for one in networks])
    for k, network in enumerate(networks):
        twin = made(k)
        twin.load_state_dict(rescale_to_scope(network, target).state)
        loss = nll(predict(twin, pool.splits.train))
        assert rescaled.paths[0].loss[-k] == pytest.approx(loss, rel=1e-5)


def test_a_function_that_is_kept_keeps_the_ends(found):
    made = kind("resnet-8", width=4)
    pools = [pool_of([made(k) for k in range(2)], made)]
    look = Connectivity(curves=(), plane=0, points=5, rescale="function")
    kept = look(pools)
    for mine in kept.paths:
        wanted = next(
            one.loss
            for one in found.paths
            if (one.pool, one.one, one.other, one.way, one.statistics, one.split)
            == (0, "net-0", "net-1", "line", mine.statistics, mine.split)
        )
        assert mine.loss[0] == pytest.approx(wanted[0], rel=1e-3)
        assert mine.loss[-1] == pytest.approx(wanted[-1], rel=1e-3)


def test_samples_are_drawn_once_and_no_batch_is_of_one_sample():
    data = blobs(0, 240)
    few = some_of(data, 129)
    assert len(few) == 129
    assert torch.equal(few.inputs, some_of(data, 129).inputs)
    assert [len(one) for one in batches(few)] == [128]
    assert some_of(data, 1000) is data
    assert isinstance(few, Dataset)


@pytest.mark.parametrize(
    ("field", "match"),
    [
        ({"points": 4}, "points must be odd"),
        ({"plane": 3}, "plane must be at least 5"),
        ({"pairs": 0}, "pairs must be one of all, first, or a whole number"),
        ({"samples": 1}, "samples must be a whole number in"),
    ],
)
def test_numbers_out_of_bounds_are_refused(field, match):
    with pytest.raises(FieldError, match=match):
        Connectivity(**field)


def test_a_pool_of_one_network_is_refused():
    with pytest.raises(FieldError, match="count must be at least 2"):
        Connectivity()([pool_of([linear()], linear)])


def test_figures_and_page(found):
    page = render(found)
    assert "What lies between networks" in page
    assert all(f'id="{name}-title"' in page for name in ("paths", "barriers", "plane"))
    json.dumps(found.as_dict(), allow_nan=False)
    assert all(math.isfinite(one.barrier) for one in found.barriers)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(browser, found, width):
    page = render(found)
    figures, console = browser.ask(page, FIGURES, width=width)
    assert console == []
    assert len(figures) == page.count("<figure id=") == 3
    overlaps, _ = browser.ask(page, OVERLAPS, width=width)
    assert overlaps == []
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=width)
    assert reached <= window


def test_hostile_names_are_shown_and_not_run(browser, found):
    nasty = ["<script>console.error('ran')</script>", "x" * 300, "\u202eabc $x$"]
    names = dict(zip(("net-0", "net-1", "net-2"), nasty, strict=True))
    paths = [replace(p, one=names[p.one], other=names[p.other]) for p in found.paths]
    planes = [replace(p, models=tuple(nasty)) for p in found.planes]
    page = render(replace(found, paths=tuple(paths), planes=tuple(planes)))
    seen, console = browser.ask(page, "return document.body.innerText;")
    assert console == []
    assert "console.error" in seen
    script = "return [window.innerWidth, document.documentElement.scrollWidth];"
    (window, reached), _ = browser.ask(page, script, width=400)
    assert reached <= window


def test_the_command_trains_looks_and_writes(tmp_path, capsys):
    path = tmp_path / "experiment.yml"
    path.write_text(
        "network: {name: mlp, width: 8}\n"
        "data: digits\n"
        "ingredients: {count: 3, share: init, epochs: 1}\n"
        "compare: {seeds: 2}\n"
    )
    out = tmp_path / "study"
    argv = ["study", "connectivity", str(path), "--out", str(out), "--points", "3", "--plane", "5"]
    argv += ["--samples", "100", "--epochs", "1", "--pairs", "first", "--jobs", "1"]
    assert execute([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["study"] == "connectivity"
    assert len(told["paths"]) == 2 * 2 * (2 + 1)
    assert len(told["planes"]) == 2 * 2
    names = {one.name for one in out.iterdir()}
    assert names == {"report.html", "results.csv", "results.json", "run"}
    again = ["study", "connectivity", str(out / "run"), "--out", str(tmp_path / "again"), "--quiet"]
    assert execute([*again, "--curves", "none", "--plane", "0", "--samples", "50"]) == 0
    assert (tmp_path / "again" / "results.csv").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--pairs", "some"], 2, "--pairs"),
        (["--curves", "circle"], 2, "each one of bezier, polygon; got circle"),
        (["--points", "4"], 2, "points must be odd"),
    ],
)
def test_wrong_flags_are_refused(tmp_path, capsys, flags, code, words):
    path = tmp_path / "none.yml"
    argv = ["study", "connectivity", str(path), "--out", str(tmp_path / "o"), *flags]
    assert execute(argv) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_barriers_of_pools_that_share_a_test_set_cover_its_samples():
    generator, originals = torch.Generator().manual_seed(0), torch.arange(60)
    redrawn, paths = Redrawn({("", seed): originals for seed in range(3)}), []
    risen = torch.rand(60, generator=generator, dtype=torch.float64)  # of the samples, in all pools
    for seed in range(3):
        ends = torch.zeros(60, dtype=torch.float64)
        losses = (ends, risen + 0.01 * seed, ends)
        right = (ends + 1, (risen < 0.5).double(), ends + 1)
        seen = [OfSamples(*both) for both in zip(losses, right, strict=True)]
        scores = [one.score for one in seen]
        path = WeightPath(
            cell="",
            pool=seed,
            one="a",
            other="b",
            way="line",
            statistics="interpolated",
            split="test",
            at=(0.0, 0.5, 1.0),
            loss=tuple(loss for loss, _ in scores),
            accuracy=tuple(share for _, share in scores),
        )
        redrawn.add(path, seen)
        paths.append(path)
    alone = ConnectivityResult(title="", paths=tuple(paths), planes=(), facts=())
    (of_pools,) = alone.over_pools()
    (covering,) = replace(alone, shared=tuple(redrawn.rows())).over_pools()
    error = float(risen.std(correction=0)) / 60**0.5  # of a mean over samples
    variances = {row.of: row.variance for row in redrawn.rows()}
    assert variances["barrier, line, interpolated, test, all"] == pytest.approx(error**2, rel=0.1)
    assert covering.barrier == of_pools.barrier
    assert covering.barrier_low < of_pools.barrier_low - error
    assert math.isnan(of_pools.drop_low)  # all pools have the same
    assert covering.drop_low < covering.drop < covering.drop_high
