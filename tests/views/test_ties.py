"""Tied tensors, as transformers saves and loads them and as torch files store them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.checkpoints.beside.config import says_tied
from stockpot.checkpoints.entry import Checkpoint, from_state_dict
from stockpot.checkpoints.read import read_checkpoint
from stockpot.methods import Average, Dare, TaskArithmetic
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignments
from stockpot.recipes.resolving.resolve import resolve
from stockpot.views.ties import reconciled

State = dict[str, Tensor]
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TIES, APART = {"model_type": "llama", "tie_word_embeddings": True}, {
    "model_type": "llama", "tie_word_embeddings": False,
}  # fmt: skip


def folder(where: Path, state: State, config: dict[str, object] | None) -> Path:
    """A directory of safetensors, with a configuration if there is one."""
    where.mkdir()
    save_file({name: tensor.clone() for name, tensor in state.items()}, where / "model.safetensors")
    if config is not None:
        (where / "config.json").write_text(json.dumps(config))
    return where


def values(seed: int, *names: str) -> State:
    g = torch.Generator().manual_seed(seed)
    return {name: torch.randn(8, 4, generator=g) for name in ("model.norm.weight", EMBED, *names)}


def resolved(*paths: Path, base: Path | None = None) -> Assignments:
    plain = {"method": "average", "models": [str(p) for p in paths], "base": base and str(base)}
    opened = [read_checkpoint(path) for path in paths]
    return resolve(parse_recipe(plain), opened, base and read_checkpoint(base))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "gpt2"}, True),
        ({"model_type": "llama", "tie_word_embeddings": False}, False),
        ({"model_type": "llava", "text_config": {"tie_word_embeddings": True}}, True),
        ({"model_type": "llava", "text_config": {"tie_word_embeddings": False}}, False),
        ({"architectures": ["T5"], "tie_word_embeddings": True}, True),
        ({"architecture": "resnet18"}, None),
        ({"model_type": "odd", "tie_word_embeddings": "yes", "text_config": 3}, True),
        (None, None),
    ],
)
def test_what_a_configuration_says(tmp_path: Path, config: object, expected: bool | None) -> None:
    where = folder(tmp_path / "m", values(0), None)
    if config is not None:
        (where / "config.json").write_text(json.dumps(config))
    assert says_tied(read_checkpoint(where)) is expected
    assert says_tied(from_state_dict({}, "in memory")) is None


def test_one_that_stores_the_tied_head_beside_one_that_does_not(tmp_path: Path) -> None:
    a, b = values(0), values(1)
    models = [
        folder(tmp_path / "a", a | {HEAD: a[EMBED]}, TIES),
        folder(tmp_path / "b", b, {"model_type": "llama"}),
    ]
    for order in (models, models[::-1]):
        found = resolved(*order)
        assert [t.name for t in found.tensors] == ["model.embed_tokens.weight", "model.norm.weight"]
        assert found.untied == ()
        assert found.notes == ()
    sp.merge_to(tmp_path / "o", models, Average())
    written = load_file(tmp_path / "o" / "model.safetensors")
    assert HEAD not in written
    torch.testing.assert_close(written[EMBED], (a[EMBED] + b[EMBED]) / 2)


def test_a_rule_for_a_tied_name_is_told_which_to_take(tmp_path: Path) -> None:
    a = values(0)
    model = folder(tmp_path / "a", a | {HEAD: a[EMBED]}, TIES)
    expected = f"'{HEAD}' is tied to '{EMBED}' and merged as that: name '{EMBED}'"
    for more in ({"rules": [{"match": "lm_head*", "copy": 0}]}, {"only": ["lm_head.*"]}):
        recipe = parse_recipe({"method": "average", "models": [str(model)]} | more)
        with pytest.raises(sp.StockpotError, match=expected):
            resolve(recipe, [read_checkpoint(model)])


def test_a_state_dict_keeps_its_names_beside_a_directory(tmp_path: Path) -> None:
    a, b = values(0), values(1)
    model = folder(tmp_path / "b", b, TIES)
    found = sp.merge([a | {HEAD: a[EMBED]}, model], Average())
    assert torch.equal(found[HEAD], found[EMBED])
    torch.testing.assert_close(found[HEAD], (a[EMBED] + b[EMBED]) / 2)


@pytest.mark.parametrize("first", [0, 1])
def test_an_untied_head_among_tied_ones_unties_the_output(tmp_path: Path, first: int) -> None:
    a, b = values(0), values(1, HEAD)
    models = [folder(tmp_path / "a", a, TIES), folder(tmp_path / "b", b, APART)]
    found = resolved(models[first], models[1 - first])
    assert found.untied == (HEAD,)
    assert {t.name: t.role.value for t in found.tensors}[HEAD] == "matrix"
    sp.merge_to(tmp_path / "o", [models[first], models[1 - first]], Average())
    written = load_file(tmp_path / "o" / "model.safetensors")
    torch.testing.assert_close(written[HEAD], (a[EMBED] + b[HEAD]) / 2)
    torch.testing.assert_close(written[EMBED], (a[EMBED] + b[EMBED]) / 2)


def test_a_base_that_is_untied_counts_too(tmp_path: Path) -> None:
    a, b, base = values(0), values(1), values(2, HEAD)
    models = [folder(tmp_path / n, s, TIES) for n, s in (("a", a), ("b", b))]
    below = folder(tmp_path / "base", base, APART)
    sp.merge_to(tmp_path / "o", models, TaskArithmetic(scale=0.5), base=below)
    written = load_file(tmp_path / "o" / "model.safetensors")
    expected = base[HEAD] + 0.5 * (a[EMBED] + b[EMBED] - 2 * base[HEAD])
    torch.testing.assert_close(written[HEAD], expected)


def test_all_untied_is_as_ever(tmp_path: Path) -> None:
    models = [folder(tmp_path / n, values(i, HEAD), APART) for i, n in enumerate("ab")]
    found = resolved(*models)
    assert HEAD in {t.name for t in found.tensors}
    assert (found.untied, found.notes) == ((), ())


def test_a_stored_head_of_its_own_is_kept_whatever_the_configuration_says(tmp_path: Path) -> None:
    a, b = values(0, HEAD), values(1)
    models = [folder(tmp_path / "a", a, TIES), folder(tmp_path / "b", b, TIES)]
    found = resolved(*models)
    assert found.untied == (HEAD,)
    assert (
        f"the configuration of {models[0]} ties '{HEAD}' to '{EMBED}', but both are stored and "
        "differ"
    ) in found.notes[0]
    sp.merge_to(tmp_path / "o", models, Average())
    written = load_file(tmp_path / "o" / "model.safetensors")
    torch.testing.assert_close(written[HEAD], (a[HEAD] + b[EMBED]) / 2)


def test_a_head_that_nothing_ties_is_missing(tmp_path: Path) -> None:
    """Without a configuration, or with one that unties, a head of its own is not made up."""
    for config in (None, APART):
        a = folder(tmp_path / f"a{bool(config)}", values(0, HEAD), config)
        b = folder(tmp_path / f"b{bool(config)}", values(1), config)
        with pytest.raises(sp.StockpotError, match=f"'{HEAD}' is missing from"):
            resolved(a, b)


def test_equal_values_are_no_tie(tmp_path: Path) -> None:
    state = {"a.bias": torch.zeros(3), "b.bias": torch.zeros(3), "c.weight": torch.ones(2, 2)}
    lacking = {name: tensor for name, tensor in state.items() if name != "b.bias"}
    models = [folder(tmp_path / "a", state, None), folder(tmp_path / "b", lacking, None)]
    with pytest.raises(sp.StockpotError, match=r"'b\.bias' is missing from"):
        resolved(*models)


@pytest.mark.parametrize("names", [("embed", "head"), (EMBED, HEAD)])
def test_shared_storage_is_a_tie_without_any_configuration(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """Both names are written where one file has them: a plain module loads with strict names."""
    first, second = names
    tied, other = torch.randn(8, 4), torch.randn(8, 4)
    torch.save({first: tied, second: tied}, tmp_path / "a.pt")
    save_file({first: other}, tmp_path / "b.safetensors")
    paths = [tmp_path / "a.pt", tmp_path / "b.safetensors"]
    for order in (paths, paths[::-1]):
        sp.merge_to(tmp_path / "o.safetensors", order, Average(), overwrite=True)
        written = load_file(tmp_path / "o.safetensors")
        assert torch.equal(written[first], written[second])
        torch.testing.assert_close(written[first], (tied + other) / 2)


def test_tied_names_draw_the_same_random_numbers() -> None:
    base, model = torch.randn(8, 4), torch.randn(8, 4)
    found = sp.merge(
        [{EMBED: model, HEAD: model}, {EMBED: base + 1}],
        Dare(density=0.5),
        base={EMBED: base},
        seed=3,
    )
    assert torch.equal(found[EMBED], found[HEAD])


def test_what_has_no_tied_names_is_handed_on_as_it_is() -> None:
    plain = [from_state_dict(values(i), str(i)) for i in range(2)]
    assert all(a is b for a, b in zip(reconciled(plain).checkpoints, plain, strict=True))


def test_one_model_twice_stays_one() -> None:
    state = values(0)
    one = from_state_dict(state | {HEAD: state[EMBED]}, "a")
    found: tuple[Checkpoint, ...] = reconciled([one, one]).checkpoints
    assert found[0] is found[1]


# -- with transformers: what it saves is merged, and what is written it loads tied


def tiny(kind: str) -> Callable[[], object]:
    import transformers as t

    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    bert = sizes | {"vocab_size": 32, "intermediate_size": 16, "max_position_embeddings": 16}
    t5 = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return {
        "t5": lambda: t.T5ForConditionalGeneration(t.T5Config(vocab_size=32, **t5)),
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=16)
        ),
        "llama": lambda: t.LlamaForCausalLM(
            t.LlamaConfig(
                vocab_size=32, intermediate_size=16, tie_word_embeddings=True, **sizes
            )
        ),
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**bert)),
        "roberta": lambda: t.RobertaForMaskedLM(t.RobertaConfig(**bert)),
        "bart": lambda: t.BartForConditionalGeneration(
            t.BartConfig(
                vocab_size=32, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
                encoder_attention_heads=2, decoder_attention_heads=2, decoder_ffn_dim=16,
                max_position_embeddings=16,
            )
        ),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["t5", "gpt2", "llama", "bert", "roberta", "bart"])
@pytest.mark.parametrize("stored", ["safetensors", "bin", "both"])
def test_networks_of_transformers_load_tied(kind: str, stored: str, tmp_path: Path) -> None:
    nets, paths = [], []
    for seed in range(2):
        torch.manual_seed(seed)
        net = tiny(kind)()
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter)
        nets.append(net)
        paths.append(tmp_path / str(seed))
        net.save_pretrained(paths[-1])
        if stored == "bin" or (stored == "both" and seed):
            (paths[-1] / "model.safetensors").unlink()
            torch.save(net.state_dict(), paths[-1] / "pytorch_model.bin")
    sp.merge_to(tmp_path / "out", paths, Average())
    merged, info = type(nets[0]).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    embedding, head = merged.get_input_embeddings(), merged.get_output_embeddings()
    assert embedding.weight is head.weight
    states = [net.state_dict() for net in nets]
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2, msg=name)
    nets[0].save_pretrained(tmp_path / "saved")
    names = [load_file(tmp_path / n / "model.safetensors").keys() for n in ("out", "saved")]
    assert names[0] == names[1]
