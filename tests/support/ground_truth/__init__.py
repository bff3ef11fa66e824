"""Known delays, and what the accounting of phases finds: `make phases` prints this table.

Each scenario injects delays through the simulator, a slowed network backend or the caller's own pauses, and says which
phases they belong to. What was really injected is read from the simulator's own clock readings and from the caller's,
since a sleep may last longer than asked for. Every phase that is not named must be (nearly) empty.
"""
