"""Internals of `Client` and `AsyncClient`: the calls with their results, and the threads of `AsyncClient`."""
