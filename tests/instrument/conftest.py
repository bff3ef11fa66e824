"""A simulator for all tests of the room, and providers of each test's own."""

from support.fixtures import exported, records, sim, simulator

__all__ = ["exported", "records", "sim", "simulator"]
