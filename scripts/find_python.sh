#!/usr/bin/env bash
# Print a Python of a version such as 3.9: from the PATH, or one of pyenv's, whose shims of other versions answer nothing.
set -euo pipefail
for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2> /dev/null; then
        command -v "$candidate"
        exit
    fi
done
echo "there is no Python $1 on the PATH or in pyenv" >&2
exit 1
