"""Prints what the database has of tests, and whether each belongs to a session."""

import sqlite3

with sqlite3.connect("monitor.db") as database:
    print(database.execute("PRAGMA integrity_check").fetchone())
    sessions = {row[0] for row in database.execute("SELECT SESSION_H FROM TEST_SESSIONS")}
    rows = database.execute(
        "SELECT ITEM_PATH, ITEM, ITEM_VARIANT, KIND, SESSION_H, TOTAL_TIME FROM TEST_METRICS"
    )
    for path, item, variant, kind, session, total in sorted(rows):
        print(path, item, variant, kind, session in sessions, total >= 0)
