def area(kind, size):
    """The area of a shape."""
    if kind == "square":
        return size * size
    if kind == "circle":
        return 3 * size * size
    raise ValueError(kind)


def never():
    """Nobody calls this."""
    return 1


def in_thread(values):
    """Run by a thread of a test."""
    for i in range(3):
        values.append(i)
