"""A source that looks a name up is told from one that sets it, removes it, or asks the environment itself."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_procpar.core.evidence.mentions import looked_up

NAME = "PYTEST_XDIST_WORKER"

LOOKS = [
    "value = settings['PYTEST_XDIST_WORKER']",
    "value = settings.get('PYTEST_XDIST_WORKER')",
    "value = settings.get('PYTEST_XDIST_WORKER', 'main')",
    "value = settings.pop('PYTEST_XDIST_WORKER', None)",
    "value = settings.pop(key='PYTEST_XDIST_WORKER')",
    "value = env.str('PYTEST_XDIST_WORKER')",
    "value = read('PYTEST_XDIST_WORKER')",
    "value = settings.get(b'PYTEST_XDIST_WORKER')",
    "value = settings.pytest_xdist_worker",
    "value = settings.PYTEST_XDIST_WORKER",
    "value = 'PYTEST_XDIST_WORKER' in settings",
    "value = [v for k, v in pairs if k == 'PYTEST_XDIST_WORKER']",
    "class Settings(Base):\n    pytest_xdist_worker: str = 'main'",
    "class Settings(Base):\n    PYTEST_XDIST_WORKER = variable()",
    "class Settings(Base):\n    worker: str = Field('main', alias='PYTEST_XDIST_WORKER')",
    "def connect(pytest_xdist_worker='main', **others): ...",
    "KEY = 'PYTEST_XDIST_WORKER'\nvalue = settings[KEY]",
    "value = 'db_{PYTEST_XDIST_WORKER}'.format(**settings)",
    "value = 'db_%(PYTEST_XDIST_WORKER)s' % settings",
    "def later():\n    return settings['PYTEST_XDIST_WORKER']",
]

LOOKS_NOT = [
    "",
    "# PYTEST_XDIST_WORKER",
    "'PYTEST_XDIST_WORKER is what a worker has'",
    "def later():\n    '''Not PYTEST_XDIST_WORKER'''",
    "value = settings['PYTEST_XDIST_WORKER_COUNT']",
    "value = os.environ['PYTEST_XDIST_WORKER']",
    "value = os.environ.get('PYTEST_XDIST_WORKER')",
    "value = environ.get('PYTEST_XDIST_WORKER')",
    "value = os.getenv('PYTEST_XDIST_WORKER')",
    "value = 'PYTEST_XDIST_WORKER' in os.environ",
    "value = config.workerinput['PYTEST_XDIST_WORKER']",
    "value = getattr(config, 'workerinput', {}).get('PYTEST_XDIST_WORKER')",
    "env['PYTEST_XDIST_WORKER'] = 'gw7'",
    "del env['PYTEST_XDIST_WORKER']",
    "env.pop('PYTEST_XDIST_WORKER', None)",
    "monkeypatch.setenv('PYTEST_XDIST_WORKER', 'gw7')",
    "monkeypatch.delenv('PYTEST_XDIST_WORKER')",
    "env = {k: v for k, v in pairs if k != 'PYTEST_XDIST_WORKER'}",
    "env = {k: v for k, v in pairs if k not in ('PYTEST_XDIST_WORKER', 'OTHER')}",
    "env = {k: v for k, v in pairs if not k.startswith('PYTEST_')}",
    "PYTEST_XDIST_WORKER = (",
    "\0",
]


@pytest.mark.parametrize("source", LOOKS)
def test_who_looks_a_name_up_is_seen(source: str) -> None:
    assert looked_up(source, {NAME}) == NAME.lower()
    assert looked_up(source, {"nothing", NAME.lower()}) == NAME.lower()
    assert looked_up(source, {"nothing"}) is None


def test_what_a_source_is_warned_of_is_not_said_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert looked_up("pattern = '\\d'\nvalue = settings['PYTEST_XDIST_WORKER']", {NAME}) == NAME.lower()


@pytest.mark.parametrize("source", LOOKS_NOT)
def test_who_does_something_else_with_it_is_not(source: str) -> None:
    assert looked_up(source, {NAME}) is None


@pytest.mark.parametrize("source", LOOKS)
def test_where_in_a_source_it_is_makes_no_difference(source: str) -> None:
    others = "\n".join(LOOKS_NOT[:-2])
    assert looked_up(f"{others}\n{source}\n{others}", {NAME}) == NAME.lower()


@given(st.text())
def test_any_text_will_do(text: str) -> None:
    assert looked_up(text, {NAME}) in (None, NAME.lower())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class Settings(Base):\n    config = Config(env_prefix='PYTEST_XDIST_')", NAME.lower()),
        ("class Config:\n    env_prefix = 'pytest_xdist_'", NAME.lower()),
        ("with env.prefixed('PYTEST_XDIST_'):\n    value = env.str('WORKER')", NAME.lower()),
        ("env = {k: v for k, v in pairs if not k.startswith('PYTEST_XDIST_')}", None),
        ("config = Config(env_prefix='PYTEST_')", None),
        ("NAMES = ['PYTEST_XDIST_']", None),
    ],
)
def test_a_prefix_of_all_settings_is_seen(source: str, expected: str | None) -> None:
    assert looked_up(source, {"other", NAME}, "pytest_xdist_") == expected
    assert looked_up(source, {NAME}) is None
    assert looked_up(source, {"other"}, "pytest_xdist_") is None
