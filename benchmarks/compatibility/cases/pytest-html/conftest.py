import pytest
import pytest_html


def pytest_html_report_title(report):
    report.title = "Of the case"


def pytest_html_results_summary(prefix, summary, postfix):
    prefix.append("<p>a prefix</p>")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        report.extras = [
            pytest_html.extras.text(f"of {item.name}", name="note"),
            pytest_html.extras.url("https://example.org"),
        ]
    return report
