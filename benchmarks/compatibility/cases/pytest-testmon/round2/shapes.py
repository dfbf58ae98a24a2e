def area(kind, size):
    if kind == "square":
        return square(size)
    return circle(size)


def square(size):
    return size * size


def circle(size):
    return 3.14 * size * size
