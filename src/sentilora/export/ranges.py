"""How far the inputs of each linear layer reach, measured on texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime

from sentilora.export.graph import with_ranges
from sentilora.export.quantisation import Floats, Ranges
from sentilora.inference.graph import IDS, LOGITS


def measured_ranges(
    fp32: onnx.ModelProto,
    adapters: Iterable[Mapping[str, onnxruntime.OrtValue]],
    token_ids: Sequence[Sequence[int]],
) -> Ranges:
    """The largest absolute values over all these texts and adapters.

    Args:
        fp32: A merged or an adaptable graph.
        adapters: Values of the graph's other inputs, for each adapter; one empty mapping for a merged graph.
        token_ids: Of encoded texts, at least one.
    """
    session = onnxruntime.InferenceSession(with_ranges(fp32).SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.name != LOGITS]
    largest: dict[str, Floats] = {}
    for inputs in adapters:
        for ids in token_ids:
            text = onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray([ids], dtype=np.int64))
            found = session.run_with_ort_values(names, {IDS: text, **inputs})
            for name, value in zip(names, found):
                largest[name] = np.maximum(largest.get(name, 0), value.numpy())
    return largest
