#!/usr/bin/env bash
# What CI runs and you run: style, types, tests.
set -euo pipefail
cd "$(dirname "$0")"
ruff check .
ruff format --check .
pyright
pytest --numprocesses=auto --dist=loadfile
