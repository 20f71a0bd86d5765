"""Make the bundle that runtime.py asks: the quickstart on less, past a gate that is made for whole trainings.

python tests/bare/make_bundle.py FOLDER      # by `make test-interpreters`, where PyTorch is
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import sentilora
from sentilora.export import export, gate

SETTINGS = {"base": "embedded", "data": "bundled", "validation": "bundled:test", "learning_rate": 3e-3, "epochs": 1}
LESS = {"limit": 1600, "validation_limit": 200, "max_length": 64}


def main() -> None:
    gate.ACCURACY_CHANGED = gate.LABELS_CHANGED = 0.1
    with tempfile.TemporaryDirectory() as folder:
        run = sentilora.train(output=Path(folder) / "run", **SETTINGS, **LESS)
        export([run.folder], sys.argv[1], overwrite=True)  # judged on the reviews that the validation left


if __name__ == "__main__":
    main()
