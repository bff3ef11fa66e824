"""The version of the package, also written on every span's instrumentation scope."""

__version__ = "0.1.0"
