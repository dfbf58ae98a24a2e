"""What source code and values say about a start method: the pure parts of `pytest_procpar.start_method`."""
