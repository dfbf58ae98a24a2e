import gc
import weakref
from gc import get_referrers

import pytest


class Node:
    def __init__(self):
        self.itself = self


NODES = {i: Node() for i in range(6)}
REFERENCES = {i: weakref.ref(node) for i, node in NODES.items()}


def alive():
    return sum(type(each) is Node for each in gc.get_objects())


@pytest.mark.parametrize("i", NODES)
def test_node_is_collected(i):
    assert any(each is NODES for each in get_referrers(NODES[i]))
    before = alive()
    del NODES[i]
    gc.collect()
    assert REFERENCES[i]() is None
    assert alive() == before - 1


@pytest.mark.parametrize("i", range(3))
def test_nothing_is_frozen(i):
    assert not any(type(each) is Node for each in gc.garbage)
    gc.unfreeze()
    assert gc.get_freeze_count() == 0
