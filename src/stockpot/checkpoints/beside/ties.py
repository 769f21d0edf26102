"""Whether a configuration ties the output head to the input embedding, as transformers reads it."""

from collections.abc import Mapping

from ..formats.untrusted import as_mapping

KEY = "tie_word_embeddings"

_UNTIED = """
    afmoe apertus arcee aria aria_text bamba bitnet blt chameleon codegen cwm dbrx deepseek_v2
    deepseek_v3 diffllama doge dots1 emu3 eurobert evolla exaone4 exaone_moe falcon_h1 flex_olmo
    fsmt fuyu git glm glm4 glm4_moe glm4v glm4v_moe gpt_neox gpt_oss gptj granite granitemoe
    granitemoehybrid granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe idefics idefics2
    idefics3 jamba kimi_linear llama llama4 llama4_text llava llava_next llava_next_video
    llava_onevision longcat_flash mamba2 minimax minimax_m2 ministral ministral3 mistral mistral4
    mixtral nemotron nemotron_h olmo olmo2 olmo3 olmo_hybrid olmoe perception_lm persimmon phi phi3
    phi4_multimodal phimoe pix2struct qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_5 qwen3_5_moe
    qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_vl qwen3_vl_moe reformer rembert rwkv
    seed_oss smolvlm solar_open stablelm video_llava vipllava xlstm
"""
UNTIED = frozenset(_UNTIED.split())
"""Kinds of network whose head is a tensor of its own where the configuration does not say."""

_TIED = """
    albert aya_vision bart bert bert-generation big_bird bigbird_pegasus biogpt blenderbot
    blenderbot-small blip bloom camembert cohere cohere2 cohere2_vision convbert cpmant ctrl
    data2vec-text deberta deberta-v2 distilbert electra ernie ernie4_5 ernie4_5_moe esm falcon
    falcon_mamba flaubert florence2 fnet funnel gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text
    gemma4 gemma4_text got_ocr2 gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox_japanese gte ibert
    internvl jetmoe kosmos-2 layoutlm led lfm2 lfm2_moe lfm2_vl longformer longt5 luke m2m_100 mamba
    marian mbart megatron-bert mistral3 mobilebert modernbert modernbert-decoder moonshine mpnet mpt
    mra mt5 mvp nllb-moe nomic_bert nystromformer openai-gpt opt paligemma pegasus pegasus_x plbart
    pop2piano prophetnet recurrent_gemma roberta roberta-prelayernorm roc_bert roformer seamless_m4t
    seamless_m4t_v2 smollm3 speech_to_text speecht5 squeezebert starcoder2 switch_transformers t5
    t5gemma tapas trocr udop umt5 whisper xglm xlm xlm-roberta xlm-roberta-xl xlnet xmod yoso zamba
    zamba2
"""
TIED = frozenset(_TIED.split())
"""Kinds of network whose head is the embedding where the configuration does not say."""


def ties_embeddings(config: Mapping[str, object]) -> bool | None:
    """Whether the head of a language model is its input embedding.

    A configuration that does not say so means the default of its kind of network. One of several
    networks may say it in its text_config alone, as older versions of transformers wrote it.

    Args:
        config: the content of config.json.

    Returns:
        None where neither the configuration nor its kind tells.

    Example:
        >>> ties_embeddings({"model_type": "gemma2"}), ties_embeddings({"model_type": "llama"})
        (True, False)
        >>> ties_embeddings({"model_type": "llama", "tie_word_embeddings": True})
        True
    """
    parts = (config, as_mapping(config.get("text_config")) or {})
    for part in parts:
        said = part.get(KEY)
        if isinstance(said, bool):
            return said
    for part in parts:
        kind = part.get("model_type")
        if isinstance(kind, str) and kind in UNTIED | TIED:
            return kind in TIED
    return None
