"""Prints which test depends on which file, and that the database is whole."""

import sqlite3

database = sqlite3.connect(".testmondata")
print(database.execute("PRAGMA integrity_check").fetchone()[0])
query = """
    SELECT te.test_name, f.filename, te.failed, hex(f.method_checksums)
    FROM test_execution te
    JOIN test_execution_file_fp tf ON tf.test_execution_id = te.id
    JOIN file_fp f ON f.id = tf.fingerprint_id
"""
print("\n".join(sorted(str(row) for row in database.execute(query))))
