#!/usr/bin/env bash
# Resolve constraints/python3.N.txt from pyproject.toml: the newest versions each Python can have, and torch pinned.
set -euo pipefail
cd "$(dirname "$0")/.."

resolve() { # python version, torch version
    local target="constraints/python$1.txt"
    {
        echo "# Versions for Python $1, written by scripts/update_constraints.sh; docs/install.md says what is tested with them."
        echo "torch==$2" | uv pip compile pyproject.toml --all-extras --constraint - \
            --python-version "$1" --python-platform x86_64-manylinux_2_28 \
            --quiet --no-annotate --no-header --no-emit-find-links --no-emit-index-url
    } >"$target.new"
    mv "$target.new" "$target"
}

resolve 3.9 2.8.0
for python in 3.10 3.11 3.12 3.13; do
    resolve "$python" 2.13.0
done
