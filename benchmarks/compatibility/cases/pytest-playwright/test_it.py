import re

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize("number", range(3))
def test_clicks(page, number):
    page.set_content("<button onclick=\"this.textContent = 'clicked'\">click</button>")
    page.get_by_role("button").click()
    expect(page.get_by_role("button")).to_have_text("clicked")


def test_own_context(page):
    assert page.context.cookies() == []
    page.set_content("<h1>Here</h1>")
    expect(page.locator("h1")).to_have_text(re.compile("H.re"))


def test_fails(page):
    page.set_content("<h1>Here</h1>")
    expect(page.locator("h1")).to_have_text("There", timeout=200)
