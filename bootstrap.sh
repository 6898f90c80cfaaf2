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
case $("$PYTHON" -c 'import sys; print(sys.version_info >= (3, 11))') in
True) ;;
False)
    say "$("$PYTHON" --version 2>&1) is too old: Python 3.11 or newer is needed." \
        "install a newer one, or name it: make PYTHON=/path/to/python3.12"
    ;;
*)
    say "$PYTHON does not run; its message, if it has one, is above." \
        "mend that Python, or name another one: make PYTHON=/path/to/python3.12"
    ;;
esac
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    say "This Python has no venv module." "install it (Debian and Ubuntu: apt install python3-venv), or name another Python"

version=$("$PYTHON" --version 2>&1)
total=$(grep -c '^[a-z0-9].*==' requirements.lock)

# While pip unpacks it says nothing: every few seconds, how far it is.
count() {
    while sleep 5 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        echo "  $(find .venv/lib -maxdepth 3 -name '*.dist-info' | wc -l | tr -d ' ') of $total installed"
    done
}

# What pip does, as a line for each package.
show() {
    fetched=0 counter=
    while read -r word what; do
        case $word in
        Collecting)
            fetched=$((fetched + 1))
            echo "  [$fetched/$total] ${what%% *}"
            ;;
        Installing)
            echo "  installing them"
            count &
            counter=$!
            ;;
        esac
    done
    if [ "$counter" ]; then
        kill "$counter"
        wait "$counter" 2>/dev/null || true
    fi
}

# pip's output becomes progress (4); its errors pass by (3) and are kept. It can't ask: nobody would see the question.
install_locked() {
    {
        {
            { .venv/bin/python -m pip install --no-input --no-color --disable-pip-version-check \
                --require-hashes -r requirements.lock 2>&3 && : >.venv/fetched; } | show >&4 3>&-
        } 3>&1 | tee .venv/errors >&2
    } 4>&1
    [ -e .venv/fetched ]
}

echo "Making .venv with $version (once; a minute or two)"
"$PYTHON" -m venv --clear .venv ||
    say "The folder .venv could not be made; the message is above." \
        "free some space, or make this folder writable, then run the same command again"
if ! install_locked; then
    # "From versions: none" is what pip says of an index that it does not reach.
    ! grep 'Could not find a version that satisfies' .venv/errors | grep -qv 'from versions: none' ||
        say "The index has no build of a pinned package that fits $version on this machine; pip's message is above." \
            "name another Python (make PYTHON=/path/to/python3.12), or have a mirror of your own brought up to date"
    say "pip could not install what requirements.lock names; its message is above." \
        "check the network and pip's proxy and mirror settings (pip config list), then run the same command again"
fi
# Twice quiet: setuptools warns of folders with the name of a package, which is what an editable install is.
.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
    say "The project itself could not be installed into .venv; pip's message is above." \
        "run the same command again; if it stays so, compare this folder with a fresh clone"
touch .venv/installed
