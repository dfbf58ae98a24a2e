"""Stands in for the plugin of VS Code's Python extension, which is in no package index.

It has that one's hooks and writes its messages: an outcome for each test, once in each process, as soon as it is
known there. The pipe that the extension reads is a file here.
"""

import json
import os
from pathlib import Path

import pytest

PATHS = {}
TOLD = set()
ERRORS = []


def send(outcome=None, test=None, text=None):
    result = None
    if test is not None:
        if test in TOLD:
            return
        TOLD.add(test)
        result = {
            test: {"test": test, "outcome": outcome, "message": text, "traceback": None, "subtest": None}
        }
    params = {
        "cwd": os.getcwd(),
        "status": "success",
        "result": result,
        "not_found": None,
        "error": ERRORS or None,
    }
    if result is None:
        params["status"] = "error"
    body = json.dumps({"jsonrpc": "2.0", "params": params})
    message = f"content-length: {len(body)}\r\ncontent-type: application/json\r\n\r\n{body}"
    pipe = os.open(os.environ["TEST_RUN_PIPE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(pipe, message.encode())
    os.close(pipe)


def id_of(nodeid, path):
    return "::".join([str(path), *nodeid.split("::")[1:]])


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_report_teststatus(report):
    if report.when == "call" or (report.when == "setup" and report.skipped):
        outcome = {"passed": "success", "failed": "failure"}.get(report.outcome, "skipped")
        # The controller has run no test and knows no path: the editor drops what has an id of another form.
        path = PATHS.get(report.nodeid, Path.cwd())
        send(outcome, id_of(report.nodeid, path), report.longreprtext if report.failed else None)
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol(item):
    PATHS[item.nodeid] = item.path
    if item.get_closest_marker("skip"):
        send("skipped", id_of(item.nodeid, item.path))
    return (yield)


def pytest_exception_interact(node, call, report):
    outcome = "failure" if call.excinfo.typename == "AssertionError" else "error"
    send(outcome, id_of(node.nodeid, node.path), report.longreprtext)


def pytest_internalerror(excinfo):
    ERRORS.append(excinfo.exconly())


def pytest_keyboard_interrupt(excinfo):
    ERRORS.append(excinfo.exconly())


def pytest_sessionfinish(exitstatus):
    if exitstatus not in (0, 1):
        ERRORS.append(f"exit status {int(exitstatus)}")
        send()


class FewerWorkers:
    """Takes no more workers than tests were chosen in the editor."""

    @pytest.hookimpl(wrapper=True)
    def pytest_xdist_auto_num_workers(self, config):
        count = min((yield), len(config.option.file_or_dir))
        return 0 if count == 1 else count


def pytest_plugin_registered(plugin, manager):
    chosen = manager.hasplugin("xdist") and not manager.hasplugin("vscode_xdist")
    if chosen and not isinstance(plugin, FewerWorkers):
        manager.register(FewerWorkers(), "vscode_xdist")
