"""A simulator for the tests of runs that ask it."""

from support.fixtures import sim, simulator

__all__ = ["sim", "simulator"]
