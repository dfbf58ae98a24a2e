"""Prints which databases are left, whatever worker's, and whether they are whole."""

import glob
import re
import sqlite3

found = set()
for path in sorted(glob.glob("*.sqlite3*")):
    if path.endswith(("-wal", "-shm", "-journal")):
        found.add(path)
        continue
    found.add(
        (re.sub(r"_gw\d+", "", path), sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0])
    )
print("\n".join(sorted(map(str, found))))
