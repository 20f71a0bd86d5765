"""Graphs on disk: the operators in one file, the weights beside it, to be mapped into memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

from sentilora.artifacts import GRAPH, GRAPH_WEIGHTS

_ALIGNED = 4096  # a page, which is what can be mapped
_SMALL = 1024  # bytes; ONNX Runtime wants to know shapes and axes early


def write_graph(model: onnx.ModelProto, folder: Path) -> Path:
    """Write a graph into a folder, and its weights beside it.

    ONNX Runtime maps them: a process holds the rows of the embeddings that it reads rather than all, and processes on
    one machine share them. The graph's file holds a SHA-1 of each weight, so that its own checksum stands for both.

    Args:
        model: With its weights inside; stays as it is.
        folder: Where it comes to lie.

    Returns:
        The graph's file.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    with (folder / GRAPH_WEIGHTS).open("wb") as file:
        for tensor in graph.graph.initializer:
            content = tensor.raw_data
            if len(content) < _SMALL:
                continue
            file.write(bytes(-file.tell() % _ALIGNED))
            digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            set_external_data(tensor, GRAPH_WEIGHTS, file.tell(), len(content), digest)
            tensor.ClearField("raw_data")
            file.write(content)
    path = folder / GRAPH
    path.write_bytes(graph.SerializeToString())
    return path
