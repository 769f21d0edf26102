"""Parts of one model, and folders that hold them: recognised, with the command that helps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

STATE = {"w.weight": torch.ones(4, 4), "b": torch.zeros(4)}


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


def saved(path: Path, content: object = STATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def names(path: Path) -> set[str]:
    return set(read_checkpoint(path).entries)


def test_ranks_of_fsdp(tmp_path: Path) -> None:
    for rank in range(2):
        saved(tmp_path / f"model_world_size_2_rank_{rank}.pt")
        saved(tmp_path / f"optim_world_size_2_rank_{rank}.pt", {})
    text = refusal(tmp_path / "model_world_size_2_rank_1.pt")
    assert "part of rank 1 of 2 of one FSDP run" in text
    command = f"python -m verl.model_merger merge --backend fsdp --local_dir {tmp_path} "
    assert command in text
    folder = refusal(tmp_path)
    assert "2 ranks of one FSDP run" in folder
    assert command in folder
    assert "one rank of an FSDP run" in refusal(saved(tmp_path / "pytorch_model_fsdp_rank0.bin"))


def test_one_rank_alone_is_a_whole_model(tmp_path: Path) -> None:
    assert names(saved(tmp_path / "a/model_world_size_1_rank_0.pt")) == set(STATE)
    assert names(tmp_path / "a") == set(STATE)
    assert names(saved(tmp_path / "lora_rank_8.pt")) == set(STATE)
    assert names(saved(tmp_path / "lora_rank_9.pt")) == set(STATE)
    assert names(saved(tmp_path / "consolidated.00.pth")) == set(STATE)
    saved(tmp_path / "consolidated.01.pth")
    assert "consolidated.01.pth lies beside it" in refusal(tmp_path / "consolidated.00.pth")


def deepspeed(folder: Path, stage: int) -> Path:
    step = folder / "global_step10"
    for rank in range(2):
        saved(step / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt", {})
    if stage == 3:
        saved(step / "zero_pp_rank_0_mp_rank_00_model_states.pt", {"module": STATE})
    else:
        saved(step / "mp_rank_00_model_states.pt", {"module": STATE, "ds_version": "0.16"})
    (folder / "latest").write_text("global_step10")
    (folder / "zero_to_fp32.py").write_text("#")
    return step


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed(tmp_path: Path, stage: int) -> None:
    step = deepspeed(tmp_path, stage)
    for folder in (tmp_path, step):
        text = refusal(folder)
        assert "DeepSpeed checkpoint" in text
        assert f"python {tmp_path}/zero_to_fp32.py {tmp_path} MERGED" in text
        assert (str(step / "mp_rank_00_model_states.pt") in text) == (stage == 2)
    if stage == 2:
        assert names(step / "mp_rank_00_model_states.pt") == set(STATE)
        saved(step / "mp_rank_01_model_states.pt", {"module": STATE})
        assert "tensor-parallel" in refusal(step / "mp_rank_00_model_states.pt")
    else:
        assert "ZeRO" in refusal(step / "zero_pp_rank_0_mp_rank_00_model_states.pt")


def test_weights_that_deepspeed_gathered_are_read(tmp_path: Path) -> None:
    deepspeed(tmp_path, 3)
    save_file(STATE, tmp_path / "model.safetensors")
    assert names(tmp_path) == set(STATE)


def test_megatron(tmp_path: Path) -> None:
    for rank in range(2):
        saved(tmp_path / f"iter_0000100/mp_rank_0{rank}/model_optim_rng.pt")
    text = refusal(tmp_path / "iter_0000100")
    assert "Megatron-LM checkpoint" in text
    assert "tools/checkpoint/convert.py" in text
    rank = refusal(tmp_path / "iter_0000100/mp_rank_00/model_optim_rng.pt")
    assert "one rank of a Megatron-LM model" in rank


def test_parameters_that_were_not_gathered(tmp_path: Path) -> None:
    empty = torch.empty(0, dtype=torch.bfloat16)
    state = {f"blocks.{i}.{m}.weight": empty for i in range(2) for m in ("ffn", "attn")}
    path = saved(
        tmp_path / "m.pt", state | {"norm.weight": torch.ones(8), "x.weight": torch.ones(2, 2)}
    )
    text = refusal(path)
    assert "4 tensors are empty (shape (0,)), such as 'blocks.0.ffn.weight'" in text
    assert "ZeRO-3" in text
    assert "zero_to_fp32.py" in text


def test_one_empty_tensor_is_a_note(tmp_path: Path) -> None:
    state = STATE | {"embed.weight": torch.empty(0)}
    (note,) = read_checkpoint(saved(tmp_path / "m.pt", state)).notes
    assert "1 tensor is empty (shape (0,)), such as 'embed.weight'" in note


@pytest.mark.parametrize(
    "other",
    [
        {"none": torch.empty(0)},
        {"pruned.weight": torch.empty(0, 3)},
        {"n.weight": torch.empty(0, dtype=torch.int64)},
    ],
)
def test_what_may_be_empty(tmp_path: Path, other: dict[str, torch.Tensor]) -> None:
    assert read_checkpoint(saved(tmp_path / "m.pt", STATE | other)).notes == ()


def test_the_folder_of_a_run_names_its_last_checkpoint(tmp_path: Path) -> None:
    for step in (50, 500, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        save_file(STATE, tmp_path / f"checkpoint-{step}/model.safetensors")
    saved(tmp_path / "training_args.bin", {})
    text = refusal(tmp_path)
    assert "folder of a run with 3 checkpoint(s)" in text
    assert f"the last, {tmp_path}/checkpoint-500." in text
    run = tmp_path / "checkpoint-500"
    for name in (
        *("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth"),
        *("training_args.bin", "scaler.pt", "sampler.bin", "optimizer_1.bin"),
    ):
        saved(run / name, {"x": torch.zeros(1)})
    assert names(run) == set(STATE)
    (run / "model.safetensors").rename(run / "odd name.safetensors")
    assert names(run) == set(STATE)


def test_a_cache_of_a_hub_names_a_revision(tmp_path: Path) -> None:
    cache = tmp_path / "models--org--name"
    for revision in ("abc", "def"):
        (cache / "snapshots" / revision).mkdir(parents=True)
        save_file(STATE, cache / "snapshots" / revision / "model.safetensors")
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("abc")
    for folder in (cache, cache / "snapshots"):
        text = refusal(folder)
        assert "cache of a hub" in text
        assert f"{cache}/snapshots/abc." in text
    (cache / "refs/main").unlink()
    assert f"{cache}/snapshots/def." in refusal(cache)


def test_weights_in_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "huggingface").mkdir()
    save_file(STATE, tmp_path / "huggingface/model.safetensors")
    (tmp_path / "empty").mkdir()
    text = refusal(tmp_path)
    assert f"'huggingface' have: name one of them, such as {tmp_path}/huggingface." in text


def test_an_adapter_s_folder_says_its_kind(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    save_file({"x.ia3_l": torch.ones(2)}, tmp_path / "adapter_model.safetensors")
    assert "PEFT adapter ('IA3')" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text("[")
    assert "PEFT adapter, which is not supported yet" in refusal(tmp_path)
