"""Plugins of pytest in use, with plain pytest and in parallel: outcomes and the plugins' own output compared.

    python -m benchmarks.compatibility
    python -m benchmarks.compatibility --cases pytest-cov,pytest-html --work DIR
    python -m benchmarks.compatibility --cases junitxml --here

A case is a folder in ``cases``: a little suite that really uses its plugin, and a ``case.toml``, see
`benchmarks.compatibility.cases`. Each group of cases has a virtual environment of its own, which is made
once; that needs a package index. A full run writes the table in ``docs/compatibility.md``.
"""
