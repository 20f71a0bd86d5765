"""The README of a pretrained base."""

from __future__ import annotations

from sentilora._version import __version__
from sentilora.artifacts import BaseReference
from sentilora.modeling.base import EMBEDDED

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
