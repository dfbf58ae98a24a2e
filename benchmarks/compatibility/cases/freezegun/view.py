"""Prints whether the times in results.xml can be those of this run."""

import time
from datetime import datetime
from xml.etree import ElementTree

root = ElementTree.parse("results.xml").getroot()
suite = next(root.iter("testsuite"))
begun = datetime.fromisoformat(suite.get("timestamp")).timestamp()
print("begun in the last hour:", abs(time.time() - begun) < 3600)
print("took seconds:", 0 <= float(suite.get("time")) < 600)
for case in sorted(root.iter("testcase"), key=lambda case: case.get("name")):
    print(case.get("name"), 0 <= float(case.get("time")) < 600)
