import allure
import pytest


@allure.feature("shapes")
@allure.story("squares")
@allure.severity(allure.severity_level.CRITICAL)
@pytest.mark.parametrize("number", range(15))
def test_steps(number):
    with allure.step(f"outer {number}"):
        with allure.step("inner"):
            allure.attach(f"of {number}", name="note", attachment_type=allure.attachment_type.TEXT)


@pytest.fixture(scope="module")
def resource():
    with allure.step("prepare"):
        pass
    yield
    with allure.step("let go"):
        pass


@allure.title("With a fixture")
@allure.link("https://example.org", name="where")
def test_fixture(resource):
    print("printed")


def test_fails(resource):
    allure.dynamic.description("fails on purpose")
    assert 1 == 2


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass
