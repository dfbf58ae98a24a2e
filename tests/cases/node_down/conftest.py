NODES = set()


def pytest_configure_node(node):
    NODES.add(node.gateway.id)


def pytest_testnodedown(node, error):
    NODES.remove(node.gateway.id)


def pytest_unconfigure(config):
    if NODES:
        raise SystemExit(f"configured and never down: {', '.join(sorted(NODES))}")
