"""Models of agent frameworks, with the instrumented client inside; each is imported only where it is used."""
