"""What charge points are told to do and have to know: commands, lists of tokens, what to measure.

Guarantees that a command is an effect, sent by whoever holds the connection and never twice
blindly. Does not guarantee that a charge point obeys: what it answered is kept.
"""
