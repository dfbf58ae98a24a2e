"""Other projects' own test suites, run with plain pytest and in parallel, compared test by test.

    python -m benchmarks.downstream --suites quick
    python -m benchmarks.downstream --suites all --measure 5 --work DIR
    python -m benchmarks.downstream --suites click --plugin pytest-xdist --runs "" "-n 2"

The first compares with the plugin of this checkout; an empty run is plain pytest once more, which
tells whether a suite is at fault itself. The second writes the table in ``docs/compatibility.md``. A
network is needed once: a work folder keeps the rest, and what was run, so that a command that was broken
off goes on where it was.
"""
