import trio  # noqa: F401
