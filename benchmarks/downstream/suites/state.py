"""Suites with much global state: locales, clocks, registries, caches of classes."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["STATE"]

STATE = (
    Suite(
        "babel",
        "2.19.0",
        ("freezegun==1.5.5", "jinja2==3.1.6", "pytz==2026.6", "setuptools==65.5.0", "tzdata==2026.6"),
    ),
    Suite(
        "arrow",
        "1.4.0",
        (
            "dateparser==1.5.0",
            "pytest-mock==3.17.0",
            "pytest-cov==7.1.0",
            "pytz==2026.6",
            "simplejson==4.3.0",
        ),
        environ=(("PYTHONHASHSEED", "0"),),
        notes="With a fixed `PYTHONHASHSEED`, since it parametrizes tests from a set.",
    ),
    Suite("freezegun", "1.5.5"),
    Suite(
        "python-dateutil",
        "4.0.0",
        (
            "attrs==26.1.0",
            "hypothesis==6.170.17",
            "freezegun==1.5.5",
            "pytest-cov==7.1.0",
        ),
        args=(
            "tests/test_relativedelta.py",
            "tests/test_easter.py",
            "tests/test_utils.py",
            "tests/test_imports.py",
            "tests/test_internals.py",
            "tests/test_rrule.py",
        ),
    ),
    Suite("pyyaml", "6.0.4", drop=("yaml", "lib")),
    Suite(
        "marshmallow",
        "4.4.0",
        ("simplejson==4.3.0",),
        deselect=(
            (
                "tests/test_deserialization.py::TestFieldDeserialization::test_invalid_datetime_deserialization",
                "it has the time in its name",
            ),
            (
                "tests/test_deserialization.py::TestFieldDeserialization::test_invalid_time_deserialization",
                "it has the time in its name",
            ),
            (
                "tests/test_deserialization.py::TestFieldDeserialization::test_invalid_date_deserialization",
                "it has the time in its name",
            ),
        ),
    ),
    Suite(
        "pytest",
        "9.2.0",
        (
            "attrs==26.1.0",
            "hypothesis==6.170.17",
            "mock==5.2.0",
            "requests==2.34.2",
            "xmlschema==4.3.2",
            "setuptools==84.2.1",
            "argcomplete==3.7.2",
        ),
        args=(
            "testing/code",
            "testing/io",
            "testing/test_monkeypatch.py",
            "testing/test_recwarn.py",
            "testing/test_tmpdir.py",
            "testing/test_capture.py",
        ),
    ),
    Suite("cachetools", "8.0.2"),
    Suite("wtforms", "3.3.2", ("email-validator==2.4.0", "babel==2.19.0")),
    Suite("itsdangerous", "2.2.0", ("freezegun==1.5.5",)),
    Suite("mock", "5.2.0", args=("mock/tests",), drop=()),
    Suite(
        "traitlets",
        "5.14.3",
        ("argcomplete==3.7.2", "pytest-mock==3.17.0"),
        args=("tests", "--ignore=tests/test_typing.py"),
    ),
    Suite(
        "zope.interface",
        "8.7",
        ("zope.testing==6.2", "zope.event==6.2", "coverage==7.17.5"),
        args=("--pyargs", "zope.interface"),
        installed=True,
    ),
    Suite("python-dotenv", "1.2.1", ("click==8.5.1", "sh==2.4.0")),
    Suite("humanize", "4.14.0", ("freezegun==1.5.5", "pytest-cov==7.1.0")),
    Suite(
        "pydantic",
        "2.14.3",
        (
            "cloudpickle==3.1.2",
            "dirty-equals==0.11",
            "faker==40.54.0",
            "jsonschema==4.26.0",
            "packaging==26.3",
            "pytest-benchmark==5.3.1",
            "pytest-codspeed==5.0.4",
            "pytest-examples==0.0.18",
            "pytest-mock==3.17.0",
            "pytest-run-parallel==0.10.0",
            "pytz==2026.6",
            "sqlalchemy==2.1.9",
            "time-machine==3.6.0",
        ),
        extras=("email", "timezone"),
        args=(
            "tests/plugin",
            "tests/test_create_model.py",
            "tests/test_dataclasses.py",
            "tests/test_decorators.py",
            "tests/test_deprecated.py",
            "tests/test_forward_ref.py",
            "tests/test_generics.py",
            "tests/test_json.py",
            "tests/test_main.py",
            "tests/test_meta.py",
            "tests/test_model_validator.py",
            "tests/test_pickle.py",
            "tests/test_plugin_loader.py",
            "tests/test_plugins.py",
            "tests/test_types_typeddict.py",
            "tests/test_v1.py",
        ),
    ),
)
