#!/bin/sh
# Makes .venv with exactly what requirements.lock names. Proxy and mirror settings are pip's own
# (PIP_INDEX_URL, PIP_PROXY, pip.conf, HTTPS_PROXY): nothing here overrides them.
set -eu

say() {
    echo "$1" >&2
    echo "Next: $2" >&2
    exit 2
}

PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null 2>&1 ||
    say "There is no $PYTHON on PATH." "install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    say "$("$PYTHON" --version 2>&1) is too old: Python 3.11 or newer is needed." \
        "install a newer one, or name it: make PYTHON=/path/to/python3.12"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    say "This Python has no venv module." "install it (Debian and Ubuntu: apt install python3-venv), or name another Python"

echo "Making .venv with $("$PYTHON" --version 2>&1) (once; a minute or two)"
"$PYTHON" -m venv --clear .venv ||
    say "The folder .venv could not be made; the message is above." \
        "free some space, or make this folder writable, then run the same command again"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
    say "pip could not install what requirements.lock names; its message is above." \
        "check the network and pip's proxy and mirror settings (pip config list), then run the same command again"
# Twice quiet: setuptools warns of folders with the name of a package, which is what an editable install is.
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
    say "The project itself could not be installed into .venv; pip's message is above." \
        "run the same command again; if it stays so, compare this folder with a fresh clone"
touch .venv/installed
