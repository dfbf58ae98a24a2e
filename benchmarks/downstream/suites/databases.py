"""Suites of databases, and of what is built upon them."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["DATABASES"]

DATABASES = (
    Suite(
        "sqlalchemy",
        "2.1.9",
        ("greenlet==3.5.6", "aiosqlite==0.22.1"),
        args=("test/engine", "test/base/test_utils.py", "test/base/test_events.py"),
        notes="Its plugin for pytest names databases by a key of `workerinput`.",
    ),
    Suite(
        "alembic",
        "1.20.1",
        ("black==26.5.1", "zimports==0.7.0", "tzdata==2026.6", "junitparser==5.0.3"),
        args=(
            "tests/test_op.py",
            "tests/test_revision.py",
            "tests/test_version_traversal.py",
            "tests/test_batch.py",
            "tests/test_environment.py",
        ),
        notes="SQLAlchemy's plugin for pytest names databases by a key of `workerinput`.",
    ),
    Suite("tinydb", "4.9.0", ("pyyaml==6.0.4", "pytest-cov==7.1.0", "pycodestyle==2.15.0")),
    Suite(
        "djangorestframework",
        "3.18.3",
        (
            "pytest-django==4.14.0",
            "dj-database-url==3.1.2",
            "pytz==2026.6",
            "markdown==3.11.3",
            "django-guardian==3.5.2",
            "inflection==0.5.1",
            "pygments==2.21.0",
            "pyyaml==6.0.4",
            "uritemplate==4.2.0",
            "django-filter==26.2",
        ),
        args=(
            "tests/test_serializer.py",
            "tests/test_fields.py",
            "tests/test_views.py",
            "tests/test_permissions.py",
            "tests/test_routers.py",
            "tests/test_pagination.py",
            "tests/test_atomic_requests.py",
        ),
    ),
    Suite(
        "django-filter",
        "26.2",
        (
            "pytest-django==4.14.0",
            "djangorestframework==3.18.3",
            "pytz==2026.6",
            "django-crispy-forms==2.7",
        ),
        args=("tests", "--ds=tests.settings", "-o", "pythonpath=."),
    ),
    Suite(
        "aiosqlite",
        "0.22.1",
        args=("-o", "python_files=smoke.py", "aiosqlite/tests"),
        deselect=(
            (
                "aiosqlite/tests/smoke.py::SmokeTest::test_multi_loop_usage",
                "threads share its subtests",
            ),
        ),
        varying_warnings="A connection's thread may outlive its event loop for a moment.",
    ),
    Suite(
        "kombu",
        "5.7.0",
        (
            "pytest-freezer==0.4.9",
            "msgpack==1.2.4",
            "pyyaml==6.0.4",
            "redis==8.1.0",
            "sqlalchemy==2.1.9",
            "pytz==2026.6",
            "hypothesis==6.170.17",
        ),
        args=(
            "t/unit/utils",
            "t/unit/asynchronous",
            "t/unit/test_messaging.py",
            "--ignore=t/unit/asynchronous/aws",
        ),
    ),
)
