"""Money that goes back to drivers: refunds, and disputes with their evidence.

Guarantees that on paper it is a credit and a new charge, that on the card only the net difference
moves, and that nothing is refunded while a dispute is open.
"""
