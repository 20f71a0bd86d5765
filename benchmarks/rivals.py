"""The same classifier in other runtimes, each as fast as it was found to be: what `scoring.py` compares bundles with.

Needs onnxscript, openvino and nncf. Both get the token ids of our own encoder, on all cores this process may use:

- `exported-int8`: PyTorch's exporter, ONNX Runtime's `quantize_dynamic` and session, texts sorted by length and padded.
- `openvino-int8`, `openvino-bf16`: OpenVINO over the same export, quantised by NNCF after training (static, weights and
  activations) or computing in bf16; one unpadded text a request, one request a core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Union

import numpy as np

from sentilora.inference.threads import available_cores
from sentilora.text import TextEncoder

Feeds = dict[str, Any]
INPUTS = ("input_ids", "attention_mask")
BATCH = 8  # of the exported graph: 1, 8 and 32 were tried
TOLERANCE = 1e-3  # in a logit: that the export is right, padding included


def batches(encoder: TextEncoder, texts: Sequence[str], size: int) -> Iterator[Feeds]:
    """Texts sorted by length, so many at a time, padded to the longest of each."""
    encoded = sorted((text.ids for text in encoder.encode(texts)), key=len)
    for start in range(0, len(encoded), size):
        some = encoded[start : start + size]
        ids = np.zeros((len(some), len(some[-1])), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(some):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        yield dict(zip(INPUTS, (ids, mask)))


def build_exported(model: Any, encoder: TextEncoder, models: Path, texts: Sequence[str]) -> Path:
    """The exporter's fp32 graph, `exported.onnx`, proved on these texts."""
    import onnxruntime
    import torch

    path = models / "exported.onnx"
    if path.exists():
        return path
    model = model.eval()
    example = {name: torch.ones(2, 16, dtype=torch.int64) for name in INPUTS}
    sizes = {0: torch.export.Dim("texts", max=64), 1: torch.export.Dim("tokens", max=512)}
    torch.onnx.export(
        model,
        kwargs=example,
        f=path,
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(INPUTS, sizes),
        dynamo=True,
        external_data=False,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for feeds in batches(encoder, texts, 3):
        with torch.inference_mode():
            expected = model(**{name: torch.from_numpy(array) for name, array in feeds.items()}).logits.numpy()
        difference = float(np.abs(session.run(None, feeds)[0] - expected).max())
        if difference > TOLERANCE:
            raise SystemExit(f"the exported graph is wrong by {difference} in a logit")
    return path


def build_exported_int8(model: Any, encoder: TextEncoder, models: Path, texts: Sequence[str]) -> None:
    """The exporter's graph with int8 weights, its activations quantised as they come."""
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    prepared = models / "prepared.onnx"
    quant_pre_process(build_exported(model, encoder, models, texts), prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, models / "exported-int8.onnx", weight_type=QuantType.QInt8)


def build_openvino_bf16(model: Any, encoder: TextEncoder, models: Path, texts: Sequence[str]) -> None:
    """The exporter's graph as OpenVINO keeps it; the precision is chosen when it is opened."""
    import openvino

    exported = openvino.convert_model(build_exported(model, encoder, models, texts))
    openvino.save_model(exported, models / "openvino-bf16.xml", compress_to_fp16=False)


def build_openvino_int8(model: Any, encoder: TextEncoder, models: Path, texts: Sequence[str]) -> None:
    """Weights and activations in int8, their ranges taken from these texts."""
    import nncf
    import openvino

    exported = openvino.convert_model(build_exported(model, encoder, models, texts))
    calibration = nncf.Dataset(list(batches(encoder, texts, 1)))
    quantised = nncf.quantize(exported, calibration, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts))
    openvino.save_model(quantised, models / "openvino-int8.xml")


class Exported:
    """ONNX Runtime over padded batches."""

    def __init__(self, encoder: TextEncoder, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        self.encoder = encoder
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, texts: Union[str, Sequence[str]]) -> None:
        """Answer one text or several."""
        for feeds in batches(self.encoder, [texts] if isinstance(texts, str) else texts, BATCH):
            self.session.run(None, feeds)


class OpenVino:
    """OpenVINO over single unpadded texts."""

    def __init__(self, encoder: TextEncoder, path: Path, precision: str) -> None:
        import openvino

        cores = available_cores()
        config = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
            "INFERENCE_PRECISION_HINT": precision,
        }
        self.encoder = encoder
        self.requests = openvino.AsyncInferQueue(openvino.Core().compile_model(path, "CPU", config), cores)

    def __call__(self, texts: Union[str, Sequence[str]]) -> None:
        """Answer one text or several."""
        for feeds in batches(self.encoder, [texts] if isinstance(texts, str) else texts, 1):
            self.requests.start_async(feeds)
        self.requests.wait_all()


BUILDERS: dict[str, Callable[[Any, TextEncoder, Path, Sequence[str]], None]] = {
    "exported-int8": build_exported_int8,
    "openvino-int8": build_openvino_int8,
    "openvino-bf16": build_openvino_bf16,
}
RIVALS: dict[str, Callable[[TextEncoder, Path], Callable[[Sequence[str]], None]]] = {
    "exported-int8": lambda encoder, models: Exported(encoder, models / "exported-int8.onnx"),
    "openvino-int8": lambda encoder, models: OpenVino(encoder, models / "openvino-int8.xml", "f32"),
    "openvino-bf16": lambda encoder, models: OpenVino(encoder, models / "openvino-bf16.xml", "bf16"),
}
