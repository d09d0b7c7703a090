"""Judges whether the last number of a completion is the reference."""
import json
import re
import sys

for line in sys.stdin:
    attempt = json.loads(line)
    numbers = re.findall(r"-?\d+", attempt["completion"])
    if not numbers:
        verdict = {"score": 0, "finding": "no_answer"}
    else:
        verdict = {"score": int(numbers[-1] == attempt["reference"]), "detail": {"answer": numbers[-1]}}
    print(json.dumps({"id": attempt["id"], **verdict}), flush=True)
