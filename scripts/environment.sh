# Sourced by the other scripts: makes .venv, once, with the extra of setup.cfg that is its argument;
# `test` has all extras that tests need. An empty argument: the program alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Error: Python 3.11, 3.12 or 3.13 must be installed, or PYTHON=/path/to/python set." >&2
    return 1
}

# Of what pip says, the downloads of 20 MB and more, and the beginning of the unpacking.
progress_of_pip() {
    awk '/Downloading .*[(][0-9.]+ [MG]B[)]/ {
             name = $2; size = substr($(NF - 1), 2); sub(/-(cp|py)[0-9].*/, "", name)
             if (size + 0 >= 20 || $NF ~ /^G/) { print "  downloading " name " (" size " " $NF; fflush() }
         }
         /^Installing collected packages/ { if (NF > 13) print "  unpacking " NF - 3 " packages, which takes minutes"; fflush() }'
}

make_environment() {
    local python stamp wanted installed extras="${1:-}"
    stamp=.venv/installed
    wanted="$(cat setup.cfg pyproject.toml | cksum)"
    installed="$(cat "$stamp" 2>/dev/null || true)"
    if [ -x .venv/bin/python ]; then
        case "$installed" in
        "$wanted test" | "$wanted $extras") return ;;
        "$wanted "*) if [ -z "$extras" ]; then return; fi ;;
        esac
    fi
    python="$(find_python)"
    echo "Making .venv with $("$python" --version): TensorFlow and what it needs are 0.8 GB to download and" \
        "2.8 GB on the disk${extras:+, and the extra $extras comes on top}. This takes some minutes." >&2
    if ! "$python" -m venv .venv >&2; then
        echo "Error: $python must have the venv module (on Debian: apt install python3-venv)." >&2
        return 1
    fi
    .venv/bin/python -m pip install --progress-bar off --disable-pip-version-check \
        --editable ".${extras:+[$extras]}" | progress_of_pip >&2
    echo "$wanted $extras" >"$stamp"
}

make_environment "${1:-}"
