"""Prints report.json without what differs from run to run."""

import json
import re

VARYING = {"created", "duration", "environment", "root", "collectors", "msecs", "relativeCreated", "thread"}
VARYING |= {"process", "processName", "threadName", "pathname", "filename", "lineno", "taskName"}


def stable(value):
    """Without what varies, and without the line that heads every report of a worker, on whatever it says."""
    if isinstance(value, dict):
        kept = {key: stable(entry) for key, entry in value.items() if key not in VARYING}
        if "longrepr" in kept:
            kept["longrepr"] = re.sub(r"\[gw\d+\] .*", "", kept["longrepr"]).strip()
        return {key: entry for key, entry in kept.items() if entry != ""}
    return [stable(entry) for entry in value] if isinstance(value, list) else value


report = stable(json.load(open("report.json", encoding="utf-8")))
report["tests"].sort(key=lambda test: test["nodeid"])
print(json.dumps(report, indent=1, sort_keys=True))
