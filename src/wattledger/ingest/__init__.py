"""Facts as they arrived, kept raw before they count.

Guarantees: a fact is stored before it is acknowledged; the same fact again adds nothing; the
same id with another content is refused. Does not guarantee order: later stages bring it in.
"""
