"""Suites of event loops, of HTTP, and of sockets."""

from __future__ import annotations

from benchmarks.downstream.suites.suite import Suite

__all__ = ["NETWORKS"]

NETWORKS = (
    Suite(
        "anyio",
        "4.16.0",
        (
            "blockbuster==1.5.29",
            "hypothesis==6.170.17",
            "psutil==7.2.2",
            "pytest-mock==3.17.0",
            "pytest-timeout==2.4.0",
            "trustme==1.2.1",
            "truststore==0.10.5",
            "uvloop==0.23.0",
            "trio==0.35.0",
        ),
        args=(
            "tests/test_taskgroups.py",
            "tests/test_from_thread.py",
            "tests/test_to_thread.py",
            "tests/streams",
            "-k",
            "not uvloop",
        ),
        notes="Without uvloop.",
    ),
    Suite(
        "starlette",
        "1.10.0",
        (
            "httpx2[zstd]==2.16.2",
            "blockbuster==1.5.29",
            "importlib-metadata==10.2.0",
            "opentelemetry-sdk==1.45.2",
            "pytest-codspeed==5.0.4",
            "trio==0.35.0",
        ),
        extras=("full",),
    ),
    Suite(
        "httpx",
        "0.28.1",
        ("chardet==7.7.0", "trio==0.35.0", "trustme==1.2.1", "uvicorn==0.54.0", "pytest-trio==0.8.0"),
        extras=("http2", "cli", "brotli", "zstd", "socks"),
        args=(
            "tests/models",
            "tests/test_auth.py",
            "tests/test_content.py",
            "tests/test_decoders.py",
            "tests/test_multipart.py",
            "tests/test_status_codes.py",
            "tests/test_asgi.py",
            "tests/client/test_headers.py",
            "tests/client/test_cookies.py",
            "tests/client/test_redirects.py",
        ),
        notes="Without tests of its server, whose port is fixed: beside another worker's they never end.",
    ),
    Suite(
        "tornado",
        "6.6.1",
        installed=True,
        args=(
            "--pyargs",
            "tornado.test.locks_test",
            "tornado.test.queues_test",
            "tornado.test.httputil_test",
            "tornado.test.escape_test",
            "tornado.test.util_test",
        ),
    ),
    Suite("h11", "0.16.0", args=("h11",)),
    Suite("wsproto", "1.3.2"),
    Suite("h2", "4.3.0", ("hypothesis==6.170.17",)),
    Suite(
        "responses",
        "0.26.3",
        (
            "pytest-asyncio==1.5.0",
            "pytest-httpserver==1.2.0",
            "pytest-cov==7.1.0",
            "tomli==2.5.0",
            "tomli-w==1.2.0",
        ),
        args=("responses",),
    ),
)
