#!/usr/bin/env bash
# check.sh: lints, types, tests and builds the Python package, with the oldest and the newest Python found, with dbt and with
# Airflow. The environments are in .venv/, and are synchronised with requirements/*.txt each time.
set -euo pipefail
cd "$(dirname "$0")"
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
oldest_supported=3.10 newest_supported=3.14 newest_for_tools=3.13

say() { printf '\n== %s\n' "$*"; }

# version PYTHON: 3.12, or nothing if it cannot run.
version() { "$1" -c 'import sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# at_most A B: whether version A is B or older.
at_most() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Prints "VERSION PATH" for each supported Python, the oldest first: those on PATH, and those that pyenv hides from it.
find_pythons() {
    local python found
    { type -aP python3 python3.{10..14} || true
      [ ! -d "${PYENV_ROOT:-$HOME/.pyenv}/versions" ] || ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 || true
    } 2>/dev/null | while read -r python; do
        found=$(version "$python")
        if [ -n "$found" ] && at_most "$oldest_supported" "$found" && at_most "$found" "$newest_supported"; then
            echo "$found $python"
        fi
    done | sort -s -V -k 1,1 -u
}

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y python3 python3-venv >&2
    else
        echo "check.sh: the Python package needs python3 with venv: install it (Debian: apt-get install python3-venv)" >&2
        exit 69
    fi
fi
mapfile -t pythons < <(find_pythons)
[ "${#pythons[@]}" -gt 0 ] || { echo "check.sh: no Python from $oldest_supported to $newest_supported is on PATH" >&2; exit 69; }
read -r oldest oldest_python <<<"${pythons[0]}"
read -r newest newest_python <<<"${pythons[-1]}"
say "Python found: ${pythons[*]%% *}"
if [ "$oldest" = "$newest" ]; then
    echo "########################################################################################"
    echo "## ONLY PYTHON $oldest IS INSTALLED: the package is not tested with any other version."
    echo "########################################################################################"
fi

if ! .venv/uv/bin/uv --version 2>/dev/null | grep -qF "$(sed 's/==/ /' requirements/uv.txt)"; then
    rm -rf .venv/uv
    python3 -m venv .venv/uv
    .venv/uv/bin/python -m pip install --quiet --requirement requirements/uv.txt
fi
uv=.venv/uv/bin/uv

# environment NAME PYTHON REQUIREMENTS: creates or synchronises .venv/NAME, with the package as its users have it, but editable.
environment() {
    if [ "$(version ".venv/$1/bin/python")" != "$(version "$2")" ]; then
        "$uv" venv --quiet --clear --python "$2" ".venv/$1"
    fi
    "$uv" pip sync --quiet --python ".venv/$1/bin/python" "requirements/$3.txt"
    "$uv" pip install --quiet --python ".venv/$1/bin/python" --no-deps --build-constraints requirements/build.txt --editable .
}

environment newest "$newest_python" dev
say "ruff and mypy"
.venv/newest/bin/ruff check --quiet ../..
.venv/newest/bin/ruff format --check --quiet .
.venv/newest/bin/mypy

say "tests with Python $newest"
.venv/newest/bin/python -m pytest
if [ "$oldest" != "$newest" ]; then
    say "tests with Python $oldest"
    environment oldest "$oldest_python" dev
    .venv/oldest/bin/python -m pytest
fi

# dbt and Airflow support a new Python later than this package does.
tools=
for python in "${pythons[@]}"; do
    if at_most "${python%% *}" "$newest_for_tools"; then
        tools=${python%% *} tools_python=${python#* }
    fi
done
if [ -z "$tools" ]; then
    echo "########################################################################################"
    echo "## NO PYTHON UP TO $newest_for_tools IS INSTALLED: the package is not tested with dbt and Airflow."
    echo "########################################################################################"
fi
for tool in ${tools:+dbt airflow}; do
    say "tests with $tool and Python $tools"
    environment "$tool" "$tools_python" "$tool"
    ".venv/$tool/bin/python" -m pytest "tests/with_$tool"
done

say "the wheel"
rm -rf dist .venv/clean
"$uv" build --quiet --wheel --python "$newest_python" --build-constraints requirements/build.txt --out-dir dist
"$uv" venv --quiet --python "$oldest_python" .venv/clean
"$uv" pip install --quiet --offline --python .venv/clean/bin/python dist/pipewatch-*.whl
(cd / && "$OLDPWD/.venv/clean/bin/python" -I -W error -c '
import importlib.metadata, pathlib, pipewatch
assert (pathlib.Path(pipewatch.__file__).parent / "py.typed").exists()
assert not importlib.metadata.requires("pipewatch"), "reporting needs the standard library only"
with pipewatch.Client("http://127.0.0.1:1", spool=False, exit_timeout=0).run("wheel", "import") as run:
    run.count(rows=1)
' && "$OLDPWD/.venv/clean/bin/python" -m pipewatch.dbt --help >/dev/null)
echo "dist/$(cd dist && ls)"
