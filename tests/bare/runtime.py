"""Run where the core alone is installed: a bundle answers, scores a file and explains, as where it was made.

python tests/bare/runtime.py BUNDLE      # by `make test-interpreters`, on each Python
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

SURE = {"A gorgeous, moving film.": "positive", "A waste of money: it broke on day two, terrible.": "negative"}


def run(*arguments: object, folder: Path) -> str:
    # The bundle's probes are answered once in each cache: here, by this interpreter.
    environment = {**os.environ, "SENTILORA_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "sentilora", *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    expect(process.returncode == 0, process.stderr)
    return process.stdout


def expect(truth: bool, what: object) -> None:
    if not truth:
        sys.exit(f"Python {platform.python_version()}: {what}")


def main() -> None:
    bundle = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = run("predict", "--model", bundle, *SURE, folder=folder).splitlines()
        answers = [json.loads(line) for line in lines]
        expect([answer["label"] for answer in answers] == list(SURE.values()), answers)

        with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["id", "text"], *enumerate(SURE), [2, ""]])
        run("score", "texts.csv", "--output", "scored.csv", "--model", bundle, folder=folder)
        with (folder / "scored.csv").open(newline="", encoding="utf-8") as file:
            scored = list(csv.DictReader(file))
        expect([row["sentiment"] for row in scored] == list(SURE.values()), scored)
        expect(
            [float(row["p_positive"]) for row in scored] == [answer["p_positive"] for answer in answers],
            "a file's answers differ from predict's",
        )
        expect((folder / "scored.csv.rejects.jsonl").is_file(), "the empty text is not among the rejects")

        explained = json.loads(run("explain", "--model", bundle, "--json", next(iter(SURE)), folder=folder))
        expect(bool(explained["spans"]), explained)
    print(f"Python {platform.python_version()}: a bundle answers, scores and explains: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
