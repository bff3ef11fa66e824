"""The exception for invalid settings."""


class ConfigurationError(ValueError):
    """An invalid setting; the message has its name, its value, and what is expected."""
