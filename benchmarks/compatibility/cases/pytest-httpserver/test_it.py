import json
import urllib.error
import urllib.request

import pytest


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("number", range(4))
def test_answers(httpserver, number):
    httpserver.expect_request("/number").respond_with_data(str(number))
    assert fetch(httpserver.url_for("/number")) == str(number)
    assert [request.path for request, _ in httpserver.log] == ["/number"]


def test_unknown(httpserver):
    with pytest.raises(urllib.error.HTTPError, match="500"):
        fetch(httpserver.url_for("/unknown"))


def test_json(httpserver):
    httpserver.expect_oneshot_request("/json").respond_with_json({"a": 1})
    assert json.loads(fetch(httpserver.url_for("/json"))) == {"a": 1}


def test_fails(httpserver):
    httpserver.expect_request("/expected").respond_with_data("")
    with pytest.raises(urllib.error.HTTPError):
        fetch(httpserver.url_for("/other"))
    httpserver.check_assertions()
