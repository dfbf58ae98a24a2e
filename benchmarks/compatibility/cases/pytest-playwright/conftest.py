import shutil

import pytest


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    options = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
    return {**browser_type_launch_args, **options}
