"""Prints what report.html says of tests and of the run, without durations."""

import html
import json
import re

text = open("report.html", encoding="utf-8").read()
blob = json.loads(html.unescape(re.search(r'data-jsonblob="([^"]*)"', text)[1]))
print(sorted(blob["environment"]))
for nodeid, results in sorted(blob["tests"].items()):
    for result in results:
        result.pop("duration", None)
        result["resultsTableRow"] = [c for c in result["resultsTableRow"] if "col-duration" not in c]
        # A report of a worker is headed by who it was, and so is never empty.
        log = re.sub(r"\[gw\d\][^\n]*", "", result["log"]).strip()
        result["log"] = log or "No log output captured."
        print(nodeid, json.dumps(result, sort_keys=True))
print(re.findall(r"<p>a prefix</p>|<title[^>]*>[^<]*", text))
print(re.findall(r'<span class="(?:passed|failed|skipped|error|xfailed|xpassed|rerun)"[^>]*>([^<]*)', text))
