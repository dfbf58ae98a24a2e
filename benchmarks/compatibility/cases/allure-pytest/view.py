"""Prints the results in the folder ``allure``, sorted by name, without times, ids and hosts."""

import glob
import json

VARYING = {"uuid", "start", "stop", "historyId", "testCaseId", "children"}


def stable(value):
    if isinstance(value, dict):
        kept = {key: stable(entry) for key, entry in value.items() if key not in VARYING}
        if "labels" in kept:  # their order is that of a set
            labels = [label for label in kept["labels"] if label["name"] not in ("host", "thread")]
            kept["labels"] = sorted(labels, key=str)
        if "source" in kept:
            kept["source"] = open(f"allure/{kept['source']}", encoding="utf-8").read()
        return kept
    return [stable(entry) for entry in value] if isinstance(value, list) else value


results = [json.load(open(path, encoding="utf-8")) for path in glob.glob("allure/*-result.json")]
print("\n".join(sorted(json.dumps(stable(result), sort_keys=True) for result in results)))
containers = [json.load(open(path, encoding="utf-8")) for path in glob.glob("allure/*-container.json")]
known = {result["uuid"] for result in results}
assert all(child in known for container in containers for child in container.get("children", ()))
fixtures = {json.dumps(stable(container), sort_keys=True) for container in containers}  # once for each worker
print("\n".join(sorted(fixtures)))

output = open("../1/output.txt", encoding="utf-8").read()
workers = {f"gw{n}" for n in range(64) if f"[gw{n}]" in output}
labels = [label for result in results for label in result["labels"] if label["name"] == "thread"]
threads = {label["value"] for label in labels}
assert len(threads) == max(1, len(workers)), (threads, workers)
