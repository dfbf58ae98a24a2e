"""Prints the retry report in the terminal, an attempt after the other, sorted."""

import glob
import re

(path,) = glob.glob("../1/output.txt")
text = open(path, encoding="utf-8").read()
report = re.search(r"the following tests were retried =+\n(.*?)\n=+ end of test retry report", text, re.S)[1]
for block in sorted(re.split(r"\n\n+(?=\t\S)", report.strip("\n"))):
    print(re.sub(r'File "[^"]*"', "File", block))
