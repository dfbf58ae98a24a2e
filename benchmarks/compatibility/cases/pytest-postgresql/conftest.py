"""Postgres refuses to run as root: then the suite goes on as somebody else."""

import glob
import os
import pwd

from pytest_postgresql import factories

if os.geteuid() == 0:
    user = pwd.getpwnam("postgres" if "postgres" in {e.pw_name for e in pwd.getpwall()} else "nobody")


def load_schema(**connection):
    import psycopg

    with psycopg.connect(**connection) as opened:
        opened.execute("CREATE TABLE fruits (name text)")
        opened.execute("INSERT INTO fruits VALUES ('apple')")


executable = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))[-1]
postgresql_proc = factories.postgresql_proc(executable=executable, load=[load_schema])
postgresql = factories.postgresql("postgresql_proc")
