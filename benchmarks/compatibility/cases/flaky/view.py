"""Prints the flaky report in the terminal, sorted."""

import glob
import re

(path,) = glob.glob("../1/output.txt")
text = open(path, encoding="utf-8").read()
report = re.search(r"===Flaky Test Report===\n(.*?)\n===End Flaky", text, re.S)[1]
lines = [line for line in report.splitlines() if re.match(r"test_\w+.* (passed|failed)", line)]
print("\n".join(sorted(lines)))
