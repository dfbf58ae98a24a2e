"""Prints what is left of databases: how many of which names, and whether they are whole."""

import glob
import re
import sqlite3

for path in sorted(glob.glob("*.sqlite3*")):
    if path.endswith(("-wal", "-shm", "-journal")):
        print(path)
        continue
    print(re.sub(r"_gw\d+", "", path), sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0])
