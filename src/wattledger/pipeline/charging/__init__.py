"""A session while it is being charged: from the decision to the moment it can be billed.

Guarantees that a start is one transaction before its answer, that whatever a charge point tells of
a session goes to that session in any order and any number, and that a session is billable once and
for a stated reason. Says nothing of prices that are final: they are `billing`'s.
"""
