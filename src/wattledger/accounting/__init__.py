"""What the books see.

Guarantees: each message is signed, keeps its id over retries, and is sent until it is
acknowledged. Does not guarantee order between sessions, only within one.
"""
