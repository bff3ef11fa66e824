"""A simulator for all tests of the room, and the records of each test."""

from support.fixtures import records, sim, simulator

__all__ = ["records", "sim", "simulator"]
