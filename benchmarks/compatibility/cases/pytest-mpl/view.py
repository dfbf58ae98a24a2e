"""Prints the summary of the images' comparison."""

import json

results = json.load(open("results/results.json", encoding="utf-8"))
for name, result in sorted(results.items()):
    print(name, json.dumps({k: v for k, v in result.items() if k != "status_msg"}, sort_keys=True))
