"""The README that lies in an adapter's or a merged model's folder."""

from __future__ import annotations

from collections.abc import Sequence

from sentilora._version import __version__
from sentilora.artifacts import BaseReference, Manifest
from sentilora.modeling.base import EMBEDDED

_FRONT = """---
library_name: {library}
base_model: {base}
tags: [text-classification, sentiment-analysis, lora]
---
# {title}

Labels: {labels}. A text longer than {max_length} tokens is cut: `{truncation}`. Made with sentilora {version} on the
base `{base}` (weights sha256 `{sha256}`).
{metrics}
"""

_METRICS = """
On the {n:.0f} validation texts: accuracy {accuracy:.3f}, F1 {f1:.3f}.
"""

_ADAPTER = """
```python
from sentilora import Classifier
Classifier.load("path/of/this/folder")("A gorgeous, moving film.")
```

Plain PEFT reads it too: `AutoPeftModelForSequenceClassification.from_pretrained("path/of/this/folder")`, if it
finds the base where `adapter_config.json` says.
"""

_MERGED = """
```python
from transformers import pipeline
pipeline("text-classification", model="path/of/this/folder")("A gorgeous, moving film.")
```
"""


_BASE = """---
library_name: transformers
base_model: {base}
license: {licence}
tags: [fill-mask, domain-adaptive-pretraining]
---
# An encoder adapted to a domain

`{base}` (weights sha256 `{sha256}`), further pretrained by masked language modelling. {licence_note}

Read: {texts}. What was read can in part be had back from the weights: publish them only if you may publish the texts.
`pretraining.json` has how it went, `config.yaml` the settings. Made with sentilora {version}.

```sh
sentilora train --base path/of/this/folder --data labelled.csv
```

Plain Transformers reads it too: `AutoModel.from_pretrained("path/of/this/folder")`, and
`pipeline("fill-mask", model="path/of/this/folder")`.
"""

_BUNDLE = """
Computes in {quantisation}. In plain Python, with the packages onnxruntime, tokenizers and numpy, run in this folder:

```python
import numpy, onnxruntime, tokenizers

tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx")
ids = tokenizer.encode("A gorgeous, moving film.").ids  # at most {max_length}; of longer texts keep `{truncation}`
(logits,) = session.run(["logits"], {{"input_ids": numpy.array([ids], numpy.int64)}})  # one text a run, unpadded
shares = numpy.exp(logits[0] - logits[0].max())
print(dict(zip({labels}, (shares / shares.sum()).tolist())))
```

Or with sentilora: `Classifier.load("path/of/this/folder")("A gorgeous, moving film.")`.
"""

_ADAPTERS = """
One base computing in {quantisation}, and the adapters {names}, which are inputs of its graph.

```python
from sentilora import Classifier
Classifier.load("path/of/this/folder", adapter="{first}")("A gorgeous, moving film.")
```
"""


def bundle_readme(manifest: Manifest) -> str:
    """What the bundle is, how good it was, how to run it without sentilora."""
    fields = {name: getattr(manifest, name) for name in ("quantisation", "max_length", "truncation")}
    return _front(manifest, "onnx", "A text classifier") + _BUNDLE.format(labels=list(manifest.labels), **fields)


def adapters_readme(manifest: Manifest, names: Sequence[str]) -> str:
    """What the bundle holds, and how to use it."""
    listed = ", ".join(f"`{name}`" for name in names)
    front = _front(manifest, "onnx", "Text classifiers over one base")
    return front + _ADAPTERS.format(quantisation=manifest.quantisation, names=listed, first=names[0])


def base_readme(base: BaseReference, texts: str) -> str:
    """What a pretrained base was made of, whose licence it has, how to use it."""
    known = base.id == EMBEDDED
    return _BASE.format(
        base=base.id,
        sha256=base.sha256,
        texts=texts,
        version=__version__,
        licence="apache-2.0" if known else "other",
        licence_note="The weights it began with are those of `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0)."
        if known
        else "The licence of that base applies to it.",
    )


def adapter_readme(manifest: Manifest) -> str:
    """What the adapter is, how good it was, how to load it."""
    return _front(manifest, "peft", "A LoRA adapter") + _ADAPTER


def merged_readme(manifest: Manifest) -> str:
    """What the standalone model is, how good it was, how to load it."""
    return _front(manifest, "transformers", "A text classifier") + _MERGED


def _front(manifest: Manifest, library: str, title: str) -> str:
    known = {"n", "accuracy", "f1"} <= manifest.metrics.keys()
    return _FRONT.format(
        library=library,
        title=title,
        base=manifest.base.id,
        sha256=manifest.base.sha256,
        labels=", ".join(f"{index} = {name}" for index, name in enumerate(manifest.labels)),
        max_length=manifest.max_length,
        truncation=manifest.truncation,
        version=manifest.sentilora,
        metrics=_METRICS.format(**manifest.metrics) if known else "",
    )
