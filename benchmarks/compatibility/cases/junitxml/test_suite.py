def test_attribute(record_xml_attribute):
    record_xml_attribute("assertions", "3")


def test_suite_property(record_testsuite_property):
    record_testsuite_property("architecture", "any")
