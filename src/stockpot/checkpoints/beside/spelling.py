"""One spelling of a configuration, whatever version of a library wrote it.

`flat` takes a config.json, with the networks inside it, to a mapping from dotted keys to values in
which two configurations that mean the same are equal: both spellings of rotary embeddings, the
derived size of a head, labels by their index.
"""

from collections.abc import Iterator, Mapping

from ..formats.untrusted import as_mapping
from .keys import ACTIVATIONS
from .ties import KEY, ties_embeddings

ROTARY = ("rope_parameters", "rope_scaling")
_THETA = ("rope_theta", "rotary_emb_base", "rope_base")
_PART = ("partial_rotary_factor", "rotary_pct")
_RESPELLED = frozenset([*ROTARY, *_THETA, *_PART, "rope_local_base_freq", KEY])
_ACTIVATIONS = {
    "swish": "silu",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu_python": "gelu",
    "gelu_python_tanh": "gelu_new",
}


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Dotted keys and values of a configuration and of the networks inside it.

    Example:
        >>> flat({"rope_theta": 1e6, "text_config": {"model_type": "x"}, "b": [1]})
        {'text_config.model_type': 'x', 'b': [1], 'rope_theta': 1000000.0}
    """
    found = dict[str, object]()
    if not prefix and (ties := ties_embeddings(config)) is not None:
        found[KEY] = ties
    for key, value in _respelled(config).items():
        inner = as_mapping(value)
        if inner is not None and (key.endswith("_config") or "model_type" in inner):
            found |= flat(inner, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _respelled(config: Mapping[str, object]) -> dict[str, object]:
    plain = {key: value for key, value in config.items() if key not in _RESPELLED}
    plain |= dict(_rotary(config))
    if plain.get("hidden_activation") is not None and "hidden_act" in plain:
        del plain["hidden_act"]  # Gemma's, which nothing reads where the other is there
    for key in ACTIVATIONS & plain.keys():
        if isinstance(name := plain[key], str):
            plain[key] = _ACTIVATIONS.get(name, name)
    plain |= dict(_heads(config))
    plain.pop("label2id", None)
    if labels := as_mapping(plain.pop("id2label", None)):
        plain["id2label"] = _labels(labels)
    return plain


def _rotary(config: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Of each kind of layer the base, the part that is turned, and how positions are scaled."""
    kinds = dict[str, dict[str, object]]()
    own = {key: value for key, value in config.items() if key in (*_THETA, *_PART)}
    given = dict[str, object]()
    for key in ROTARY:
        given |= as_mapping(config.get(key)) or {}
    layers = {key: dict(said) for key, value in given.items() if (said := as_mapping(value))}
    if layers:
        kinds = layers
    elif "rope_local_base_freq" in config:
        kinds["full_attention"] = own | given
        kinds["sliding_attention"] = {"rope_theta": config["rope_local_base_freq"]}
    elif own or given:
        kinds[""] = own | given
    for kind, values in kinds.items():
        where = f" of {kind}" if kind else ""
        values["rope_type"] = values.pop("type", values.get("rope_type")) or "default"
        for names in (_THETA, _PART):
            said = [values.pop(name) for name in names if values.get(name) is not None]
            if said:
                yield names[0] + where, said[0]
        if values["rope_type"] != "default":
            scaling = {k: v for k, v in values.items() if v is not None and k not in _THETA + _PART}
            yield "rope_scaling" + where, scaling


def _heads(config: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The size of a head and the number of keys, where they follow from what is said."""
    heads, size = config.get("num_attention_heads"), config.get("hidden_size")
    if not isinstance(heads, int) or heads < 1:
        return
    if config.get("num_key_value_heads") is None:
        yield "num_key_value_heads", heads
    if isinstance(size, int) and config.get("head_dim") is None:
        yield "head_dim", size // heads


def _labels(labels: Mapping[str, object]) -> tuple[str, ...] | None:
    """Classes in the order of their rows; None where they have no names."""
    if not all(key.isascii() and key.isdigit() and len(key) < 10 for key in labels):
        return None
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    unnamed = all(name == f"LABEL_{index}" for index, name in enumerate(names))
    return None if unnamed else names
