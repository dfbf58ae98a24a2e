import pytest


@pytest.mark.parametrize("run", ["inprocess", "subprocess"])
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["plain", "workers"])
def test_inner(inner, run, options):
    made = inner.runpytest_inprocess if run == "inprocess" else inner.runpytest_subprocess
    made("--shout", *options).assert_outcomes(passed=3)
    made(*options).assert_outcomes(failed=3)


def test_output(inner):
    result = inner.runpytest("-v")
    result.stdout.fnmatch_lines(["*::test_shout[[]0[]] FAILED*", "*said hey*", "*3 failed*"])


def test_inline(inner):
    recorded = inner.inline_run("--shout")
    recorded.assertoutcome(passed=3)


def test_items(inner):
    items, _ = inner.inline_genitems()
    assert len(items) == 3


def test_config(pytester):
    config = pytester.parseconfigure("-x")
    assert config.option.maxfail == 1
    assert not hasattr(config, "workerinput")


def test_no_worker(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile("def test(request): assert not hasattr(request.config, 'workerinput')")
    pytester.runpytest().assert_outcomes(passed=1)


def test_fails(inner):
    inner.runpytest().assert_outcomes(passed=3)
