# Sourced by ./check and ./quickstart: finds a Python, makes .venv with one extra of pyproject.toml, sets VENV_PYTHON.
# Usage: . .ci/venv.sh ROOT EXTRA

ferry_python() {
    for candidate in python3 python python3.14 python3.13 python3.12 python3.11 python3.15 python3.16; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

ferry_venv() {
    unset PYTHONPATH PYTHONHOME PYTHONSTARTUP __PYVENV_LAUNCHER__
    if ! found=$(ferry_python); then
        echo "Ferryman needs Python 3.11 or newer and found none on PATH." >&2
        echo "Install one (https://www.python.org/downloads/), then run this again." >&2
        exit 1
    fi
    "$found" "$1/.ci/venv.py" "$2" || exit $?
    VENV_PYTHON="$1/.venv/bin/python"
}
