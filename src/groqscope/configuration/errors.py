"""What a wrong setting gets."""


class ConfigurationError(ValueError):
    """A setting that cannot be used; the message names it, its value, and what is expected."""
