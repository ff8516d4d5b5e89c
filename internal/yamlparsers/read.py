"""Reads YAML as PyYAML does: a JSON string a line in, its documents as JSON a line out."""

import json
import sys

import yaml


def same(value):
    """Refuses what JSON would turn into something else without a word."""
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is a {type(key).__name__}")
            same(member)
    elif isinstance(value, list):
        for item in value:
            same(item)
    elif not isinstance(value, (str, int, float, bool, type(None))):
        raise TypeError(f"{value!r} is a {type(value).__name__}")


sys.setrecursionlimit(20000)
for line in sys.stdin:
    try:
        documents = list(yaml.safe_load_all(json.loads(line)))
        same(documents)
        answer = {"documents": documents}
        out = json.dumps(answer, allow_nan=False)
    except Exception as err:
        out = json.dumps({"error": f"{type(err).__name__}: {err}"})
    print(out, flush=True)
