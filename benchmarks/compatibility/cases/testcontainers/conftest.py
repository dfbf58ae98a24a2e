"""It is imported before workers are forked."""

from testcontainers.core import container, docker_client, labels

FIRST = labels.SESSION_ID
assert container.SESSION_ID == docker_client.SESSION_ID == FIRST
