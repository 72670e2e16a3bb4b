"""Fixtures of this folder."""

from support.serve_routes import client

__all__ = ["client"]
