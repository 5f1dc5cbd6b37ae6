"""Payments with a card at a terminal, and the sessions that they belong to.

Guarantees that a payment and a session are matched one to one, with the reason kept; that a tie is
shown and not guessed; and that a session without its payment is held. Readers of ours are driven by
effects; what vendors and tills report comes by the inbox.
"""
