"""How money is collected.

Guarantees: one payment for a session, at most one capture of it and never more than was held;
nothing is sent twice without proof that the first had no effect; two legal entities never
share a payment. Does not guarantee that a card pays: what it does not becomes waived or a debt
by the contract's word.
"""
