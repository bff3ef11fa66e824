"""Models for agent frameworks that use an instrumented client; each is imported only where it is used."""
