"""Prints which test has run which lines, and what is left of the data files of processes."""

import glob

from coverage import CoverageData

data = CoverageData()
data.read()
for file in sorted(data.measured_files()):
    for line, contexts in sorted(data.contexts_by_lineno(file).items()):
        print(file, line, *sorted(contexts))
print(sorted(glob.glob(".coverage*")))
