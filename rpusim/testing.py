"""Checks that a user can run on a law of their own."""

__all__: list[str] = []
