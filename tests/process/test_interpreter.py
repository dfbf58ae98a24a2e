"""Fresh interpreters: what they are given, and what they are not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pytest_procpar.forking.interpreter import start_interpreter

pytestmark = pytest.mark.python_dependent

MODULE = """
import json, os, sys
def main(file):
    told = json.loads(file.read())
    with open(told["pipe"], "w") as pipe:
        facts = {"path": sys.path, "flags": sys.flags.optimize, "variable": os.environ.get("V"),
                 "leads": os.getpgrp() == os.getpid(), "input": sys.stdin.read()}
        json.dump(facts, pipe)
"""


def test_an_interpreter_has_what_it_was_given_and_no_module_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "sys.py", "importlib.py"):
        (tmp_path / name).write_text("raise SystemExit('the folder of the tests was looked into')")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "given.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    with open(reader) as pipe:
        path = [str(modules), *filter(None, sys.path)]
        body = json.dumps({"pipe": writer}).encode()
        pid = start_interpreter("given", body, [writer], flags=["-O"], path=path, environ={"V": "v"})
        os.close(writer)
        facts = json.loads(pipe.read())
    assert facts == {"path": path, "flags": 1, "variable": "v", "leads": True, "input": ""}
    assert os.waitpid(pid, 0)[1] == 0
