"""DistilBERT as an ONNX graph of ONNX Runtime's fused operators, for one unpadded text at a time.

Operators of the domain `com.microsoft` are described in ONNX Runtime's docs/ContribOperators.md. The last layer
computes the row of [CLS] only, which is all that the head reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sentilora.export.quantisation import (
    BLOCK,
    NO_RANGES,
    Floats,
    Quantisation,
    Ranges,
    per_block,
    per_output,
    smoothing,
)
from sentilora.inference.graph import IDS, LOGITS, HeadInputs, down_input, up_input

_CONTRIB = "com.microsoft"
_OPSET = 17
_IR_VERSION = 9  # what ONNX Runtime 1.19 reads
_EPSILON = 1e-12  # of DistilBERT's layer normalisations


@dataclass(frozen=True)
class Encoder:
    """What the graph is made of.

    Attributes:
        weights: Float32 arrays by their names in a `DistilBertForSequenceClassification`; the head only where it is
            part of the graph.
        layers: How many transformer layers.
        heads: Attention heads of each.
    """

    weights: Mapping[str, Floats]
    layers: int
    heads: int


def merged_graph(encoder: Encoder, quantisation: Quantisation, ranges: Ranges = NO_RANGES) -> onnx.ModelProto:
    """The whole classifier: `input_ids` int64 [1, n] to `logits` float32 [1, labels].

    Args:
        encoder: With its head.
        quantisation: How it computes.
        ranges: What `measured_ranges` found, for a way to quantise that smooths.
    """
    graph = _Graph(encoder, quantisation, ranges, adaptable=False)
    head = HeadInputs(
        *(graph.constant(name, array) for name, array in graph.linear("pre_classifier")),
        *(graph.constant(name, array) for name, array in graph.linear("classifier")),
    )
    return graph.finished(graph.logits(graph.answer(), head))


def adaptable_graph(encoder: Encoder, quantisation: Quantisation, ranges: Ranges = NO_RANGES) -> onnx.ModelProto:
    """The base alone: a low-rank update of each of its linear layers and the head are inputs of the graph.

    For the arguments see `merged_graph`; the encoder needs no head. All inputs but the token ids are float32; where the
    base is quantised the head's inner weight, most of what an adapter takes in memory, is float16.
    """
    graph = _Graph(encoder, quantisation, ranges, adaptable=True)
    names = HeadInputs.named()
    if quantisation.largest == 0:
        inner_weight = graph.input(names.inner_weight, ["dim", "dim"])
    else:
        half = graph.input(names.inner_weight, ["dim", "dim"], TensorProto.FLOAT16)
        inner_weight = graph.node("Cast", half, to=TensorProto.FLOAT)
    head = HeadInputs(
        inner_weight,
        graph.input(names.inner_bias, ["dim"]),
        graph.input(names.outer_weight, ["dim", "labels"]),
        graph.input(names.outer_bias, ["labels"]),
    )
    return graph.finished(graph.logits(graph.answer(), head))


def with_ranges(model: onnx.ModelProto) -> onnx.ModelProto:
    """An fp32 graph that also gives the largest absolute value of each input, [in], of its linear layers.

    The outputs are called as `Ranges` calls the layers.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for layer in watched.metadata_props:
        absolute = helper.make_node("Abs", [layer.value], [f"{layer.key}.absolute"])
        largest = helper.make_node("ReduceMax", [f"{layer.key}.absolute"], [layer.key], axes=[0, 1], keepdims=0)
        watched.graph.node.extend([absolute, largest])
        watched.graph.output.append(helper.make_tensor_value_info(layer.key, TensorProto.FLOAT, None))
    return watched


class _Graph:
    """A graph that grows node by node; methods take and give names of its values."""

    def __init__(self, encoder: Encoder, quantisation: Quantisation, ranges: Ranges, *, adaptable: bool) -> None:
        self.encoder = encoder
        self.quantisation = quantisation
        self.ranges = ranges
        self.layer_inputs: dict[str, str] = {}
        self.adaptable = adaptable
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs = [helper.make_tensor_value_info(IDS, TensorProto.INT64, [1, "tokens"])]
        self._quantised: dict[str, list[str]] = {}

    def input(self, name: str, shape: list[Any], element: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def constant(self, name: str, array: Any) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, operator: str, *inputs: str, contrib: bool = False, **attributes: Any) -> str:
        return self.split_node(operator, *inputs, outputs=1, contrib=contrib, **attributes)[0]

    def split_node(
        self, operator: str, *inputs: str, outputs: int, contrib: bool = False, **attributes: Any
    ) -> list[str]:
        names = [f"{operator}_{len(self.nodes)}_{number}" for number in range(outputs)]
        domain = _CONTRIB if contrib else ""
        self.nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names

    def linear(self, *names: str) -> list[tuple[str, Floats]]:
        """Weight [in, out] and bias [out] of linear layers side by side."""
        weights = self.encoder.weights
        joined = "+".join(names)
        return [
            (f"{joined}.weight", np.concatenate([weights[f"{name}.weight"] for name in names]).T),
            (f"{joined}.bias", np.concatenate([weights[f"{name}.bias"] for name in names])),
        ]

    def apply(self, x: str, kind: str, layer: int, *names: str) -> str:
        """Linear layers side by side on x, with the update that an adapter may bring."""
        (weight_name, weight), (bias_name, bias) = self.linear(*names)
        place = f"layer.{layer}.{kind}"
        self.layer_inputs[place] = x
        smoothed, smooth_weight = self._smoothed(x, place, weight)
        output = self._product(smoothed, kind, weight_name, smooth_weight, self.constant(bias_name, bias))
        if not self.adaptable:
            return output
        size_in, size_out = weight.shape
        down = self.input(down_input(layer, kind), [size_in, f"rank_{layer}_{kind}"])
        up = self.input(up_input(layer, kind), [f"rank_{layer}_{kind}", size_out])
        return self.node("Add", output, self.node("MatMul", self.node("MatMul", x, down), up))

    def _smoothed(self, x: str, place: str, weight: Floats) -> tuple[str, Floats]:
        """The same product of an x whose columns are more alike; as it was where no range of them is known."""
        if not self.quantisation.smoothed or place not in self.ranges:
            return x, weight
        factors = smoothing(self.ranges[place], weight)
        return self.node("Mul", x, self.constant(f"{place}.smoothing", 1 / factors)), weight * factors[:, None]

    def _product(self, x: str, kind: str, name: str, weight: Floats, bias: str) -> str:
        how = self.quantisation
        if how.largest == 0 or kind in how.floats:
            return self.node("Add", self.node("MatMul", x, self.constant(name, weight)), bias)
        if kind in how.blocks:
            integers, scales = per_block(weight)
            arrays = (self.constant(f"{name}.blocks", integers), self.constant(f"{name}.scales", scales))
            sizes = {"K": weight.shape[0], "N": weight.shape[1], "bits": 8, "block_size": BLOCK}
            product = self.node("MatMulNBits", x, *arrays, contrib=True, accuracy_level=4, **sizes)
            return self.node("Add", product, bias)
        integers8, scales = per_output(weight, how.largest)
        if x not in self._quantised:
            self._quantised[x] = self.split_node("DynamicQuantizeLinear", x, outputs=3)
        quantised, scale, zero = self._quantised[x]
        return self.node(
            "MatMulIntegerToFloat",
            quantised,
            self.constant(f"{name}.integers", integers8),
            scale,
            self.constant(f"{name}.scales", scales),
            zero,
            self.constant(f"{name}.zeros", np.zeros_like(integers8[0])),
            bias,
            contrib=True,
        )

    def norm(self, x: str, added: str, name: str) -> str:
        weights = self.encoder.weights
        gain, bias = (self.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        # Two operators in place of SkipLayerNormalization, which takes three times as long and a tenth of the text's
        # time. `Sum`, because ONNX Runtime would fuse `Add` back into it.
        return self.node("LayerNormalization", self.node("Sum", x, added), gain, bias, axis=-1, epsilon=_EPSILON)

    def answer(self) -> str:
        """The last hidden state of [CLS], [1, 1, dim]."""
        hidden = self._embedded()
        for layer in range(self.encoder.layers):
            hidden = self._layer(hidden, layer)
        return hidden

    def _embedded(self) -> str:
        weights, name = self.encoder.weights, "distilbert.embeddings"
        words = self.constant(f"{name}.words", weights[f"{name}.word_embeddings.weight"])
        positions = self.constant(f"{name}.positions", weights[f"{name}.position_embeddings.weight"])
        length = self.node("Shape", IDS, start=1)
        zero = self.constant("zero", np.array([0], np.int64))
        embedded = self.node("Add", self.node("Gather", words, IDS), self.node("Slice", positions, zero, length, zero))
        gain, bias = (
            self.constant(f"{name}.norm.{part}", weights[f"{name}.LayerNorm.{part}"]) for part in ("weight", "bias")
        )
        return self.node("LayerNormalization", embedded, gain, bias, axis=-1, epsilon=_EPSILON)

    def _layer(self, hidden: str, layer: int) -> str:
        name = f"distilbert.transformer.layer.{layer}"
        query, key, value = (f"{name}.attention.{part}_lin" for part in "qkv")
        asking = hidden
        if layer == self.encoder.layers - 1:
            asking = self._first_row(hidden)
            queries = self.apply(asking, "q", layer, query)
            keys, values = self._parts(self.apply(hidden, "kv", layer, key, value), 2)
        else:
            queries, keys, values = self._parts(self.apply(hidden, "qkv", layer, query, key, value), 3)
        attended = self.node("MultiHeadAttention", queries, keys, values, contrib=True, num_heads=self.encoder.heads)
        attended = self.apply(attended, "out", layer, f"{name}.attention.out_lin")
        attended = self.norm(attended, asking, f"{name}.sa_layer_norm")
        expanded = self.node("Gelu", self.apply(attended, "lin1", layer, f"{name}.ffn.lin1"), contrib=True)
        output = self.apply(expanded, "lin2", layer, f"{name}.ffn.lin2")
        return self.norm(output, attended, f"{name}.output_layer_norm")

    def _parts(self, x: str, count: int) -> list[str]:
        dim = self.encoder.weights["distilbert.embeddings.LayerNorm.weight"].shape[0]
        sizes = self.constant(f"sizes_{count}", np.full(count, dim, np.int64))
        return self.split_node("Split", x, sizes, outputs=count, axis=-1)

    def _first_row(self, x: str) -> str:
        zero, one = (self.constant(name, np.array([number], np.int64)) for number, name in enumerate(("zero", "one")))
        return self.node("Slice", x, zero, one, one)

    def logits(self, answer: str, head: HeadInputs) -> str:
        row = self.node("Squeeze", answer, self.constant("one", np.array([1], np.int64)))
        inner = self.node("Relu", self.node("Add", self.node("MatMul", row, head.inner_weight), head.inner_bias))
        return self.node("Add", self.node("MatMul", inner, head.outer_weight), head.outer_bias)

    def finished(self, logits: str) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [logits], [LOGITS]))
        output = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, "labels"])
        graph = helper.make_graph(self.nodes, "distilbert", self.inputs, [output], list(self.constants.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="sentilora")
        helper.set_model_props(model, self.layer_inputs)
        return model
