"""mien reads facial expressions: predict from photos, or train your own."""

__version__ = "0.1.0.dev0"
