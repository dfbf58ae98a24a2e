"""Prints the lines of log.jsonl about tests, warnings and the session, sorted, without what varies."""

import json

VARYING = {"duration", "start", "stop", "worker_id", "testrun_uid", "item_index", "node", "pytest_version"}


def stable(value):
    if isinstance(value, dict):
        kept = {key: stable(entry) for key, entry in value.items() if key not in VARYING}
        if "user_properties" in kept:  # what pytest-procpar has found out about a failure
            kept["user_properties"] = [p for p in kept["user_properties"] if not p[0].startswith("procpar_")]
        return kept
    return [stable(entry) for entry in value] if isinstance(value, list) else value


lines = [json.loads(line) for line in open("log.jsonl", encoding="utf-8")]
for line in lines:
    assert line.get("$report_type") != "TestReport" or line["duration"] >= 0
tests = [line for line in lines if line.get("$report_type") != "CollectReport"]
print("\n".join(sorted(json.dumps(stable(line), sort_keys=True) for line in tests)))
