"""What the name of a variable tells of a value that was made at random."""

from __future__ import annotations

import re

__all__ = ["is_credential", "is_data"]

#: Names of variables that hold credentials, which are random to be secret, not to be unique.
_CREDENTIAL = re.compile(r"secret|passw|token|salt|nonce|csrf", re.IGNORECASE)
#: Names of variables that hold randomly made data rather than a name.
_DATA = re.compile(
    r"sha\d|md5|hash|digest|checksum|hmac|signature|etag|crc|(en|de)coded|expect|payload|body|content|data|seed",
    re.IGNORECASE,
)


def is_credential(name: str) -> bool:
    """Whether a variable of this name holds something that is random to be secret."""
    return _CREDENTIAL.search(name) is not None


def is_data(name: str) -> bool:
    """Whether a variable of this name holds data, such as a checksum, or a seed."""
    return _DATA.search(name) is not None
