"""What the files and folders that we write are called."""

from __future__ import annotations

import os
from typing import Union

MANIFEST = "sentilora.json"
UNFINISHED = ".unfinished"  # ends the name of what grows
README = "README.md"  # for people, who may edit it
ADAPTER_FOLDER = "adapter"
CHECKPOINT_FOLDER = "checkpoints"
CONFIG_FILE = "config.yaml"
LOG_FILE = "log.jsonl"
CURVE_FILE = "training.png"
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
VALIDATION_FILE = "validation.parquet"
CONVERSION_RECORD = "conversion.json"
PRETRAINING_RECORD = "pretraining.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
GRAPH = "model.onnx"
GRAPH_WEIGHTS = "model.onnx_data"
BUNDLE_ADAPTER_FOLDER = "adapters"
BUNDLE_ADAPTER_WEIGHTS = "adapter.safetensors"

# What a model's folder may hold, in any of its folders: what is fetched from the Hub.
MODEL_FILES = ("*.json", "*.safetensors", "*.onnx", "*.onnx_data", "vocab.txt")

PathLike = Union[str, os.PathLike[str]]
