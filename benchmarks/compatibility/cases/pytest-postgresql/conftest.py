import glob

from pytest_postgresql import factories


def load_schema(**connection):
    import psycopg

    connection.pop("connect_timeout", None)
    with psycopg.connect(**connection) as opened:
        opened.execute("CREATE TABLE fruits (name text)")
        opened.execute("INSERT INTO fruits VALUES ('apple')")


executable = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))[-1]
postgresql_proc = factories.postgresql_proc(executable=executable, load=[load_schema])
postgresql = factories.postgresql("postgresql_proc")
