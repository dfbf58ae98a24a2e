"""What mkdocs does beside its own to the pages of the site.

Pages link to files of the checkout that are none of the site's, such as the examples. There these links lead
to GitHub: so one link is right on GitHub, in a checkout and on the site.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

__all__ = ["on_page_markdown"]

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]*)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_others: object) -> str:
    """Lead links that leave the folder of the pages to GitHub; called by mkdocs for each page."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def lead_out(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[2]))
        if path.startswith("docs/"):
            return match[0]
        return f"{match[1]}{config['repo_url']}/blob/main/{path}"

    return _LINK.sub(lead_out, markdown)
