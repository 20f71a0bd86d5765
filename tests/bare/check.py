"""Run in an environment that holds the core alone: everything but the torch wing must import and work there.

python tests/bare/check.py      # by `make test`, in .venv-bare
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import subprocess
import sys

import sentilora
import sentilora.errors

# Rooms that need an extra: the torch wing, `report` and `serve`.
WITH_EXTRAS = (
    "sentilora.training",
    "sentilora.export",
    "sentilora.modeling",
    "sentilora.reporting",
    "sentilora.serving",
)
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "evaluate",
    "onnx",
    "sklearn",
    "pandas",
    "fastapi",
    "jinja2",
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sentilora", *arguments], capture_output=True, text=True, check=False)


def expect(truth: bool, what: object) -> None:
    if not truth:
        sys.exit(f"bare environment: {what}")


def main() -> None:
    present = [name for name in HEAVY if importlib.util.find_spec(name)]
    expect(not present, f"not bare, it holds {present}")

    modules = [
        module.name for module in pkgutil.walk_packages(sentilora.__path__, "sentilora.", onerror=lambda _: None)
    ]
    light = [name for name in modules if not name.startswith(WITH_EXTRAS) and name != "sentilora.__main__"]
    for name in light:
        importlib.import_module(name)

    from sentilora.tables import read_labelled, split_labelled

    split = split_labelled(read_labelled("bundled"), 0.2, seed=0)
    expect(len(split.validation) > 400, "the bundled reviews cannot be split")

    for arguments in (["--help"], ["train", "--help"], ["recipes"], ["doctor"]):
        result = run(*arguments)
        expect(result.returncode == 0, result.stderr)
    expect("not installed" in run("doctor").stdout, "doctor does not say that torch is not there")

    refused = run("train", "--data", "bundled")
    expect(refused.returncode == 2, f"train without torch exits with {refused.returncode}: {refused.stderr}")
    expect("pip install 'sentilora[train]'" in refused.stderr, refused.stderr)
    for command, extra in ((["export", "runs/none"], "train"), (["serve", "bundle"], "serve")):
        refused = run(*command)
        expect(refused.returncode == 2, f"{command} exits with {refused.returncode}: {refused.stderr}")
        expect(f"pip install 'sentilora[{extra}]'" in refused.stderr, refused.stderr)
    try:
        sentilora.train(data="bundled")
    except sentilora.errors.MissingExtraError as error:
        expect("[train]" in str(error), error)
    else:
        expect(False, "sentilora.train works without torch")
    print(
        f"bare environment: {len(light)} modules import, and the commands that need no torch work: 1 passed, 0 failed"
    )


if __name__ == "__main__":
    main()
