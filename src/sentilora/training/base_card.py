"""The README of a pretrained base."""

from __future__ import annotations

from huggingface_hub import ModelCardData

from sentilora._version import __version__
from sentilora.artifacts import BaseReference
from sentilora.reporting.card_data import base_on_hub, licence_on_hub
from sentilora.reporting.card_parts import base_in_words, licence
from sentilora.reporting.places import short

_BASE = """---
{front_matter}
---
# An encoder adapted to a domain

{base}, further pretrained by masked language modelling. {licence_note}

Read: {texts}. What was read can in part be had back from the weights: publish them only if you may publish the texts.
`pretraining.json` has how it went, `config.yaml` the settings. Made with sentilora {version}.

```sh
sentilora train --base path/of/this/folder --data labelled.csv
```

Plain Transformers reads it too: `AutoModel.from_pretrained("path/of/this/folder")`, and
`pipeline("fill-mask", model="path/of/this/folder")`.
"""


def base_readme(base: BaseReference, texts: str, source: str) -> str:
    """What a pretrained base was made of, whose licence it has, how to use it.

    Args:
        base: That it began with.
        texts: What was read, in a line.
        source: Its name in that line, which may tell of folders of this machine.
    """
    data = ModelCardData(
        base_model=base_on_hub(base),
        library_name="transformers",
        license=licence_on_hub(base),
        tags=["fill-mask", "domain-adaptive-pretraining"],
    )
    words = base_in_words(base)
    return _BASE.format(
        front_matter=data.to_yaml(),
        base=f"{words[0].upper()}{words[1:]}",
        licence_note=licence(base),
        texts=texts.replace(source, short(source)),
        version=__version__,
    )
