import itertools

COUNT = itertools.count()
DATABASE = None


def pytest_configure_node(node):
    node.workerinput["database"] = f"db{next(COUNT)}"


def pytest_configure(config):
    global DATABASE
    if hasattr(config, "workerinput"):
        DATABASE = config.workerinput["database"]
