"""What `Client` and `AsyncClient` share: the calls with their results, and the threads of the second."""
