import conftest
from testcontainers.core import container, docker_client, labels


def test_all_modules_have_the_same_id():
    assert labels.SESSION_ID == container.SESSION_ID == docker_client.SESSION_ID


def test_a_worker_has_an_id_of_its_own(request):
    in_worker = hasattr(request.config, "workerinput")
    assert (labels.SESSION_ID != conftest.FIRST) == in_worker


def test_labels_tell_it():
    assert labels.create_labels("some", None)[labels.LABEL_SESSION_ID] == labels.SESSION_ID
