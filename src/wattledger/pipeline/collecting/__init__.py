"""How the parts of a charge get their money: captures, second charges, wallets, debts.

Guarantees that no card pays more than its charges less its refunds, and that every part ends paid,
waived or as a debt to a named account. What the processor tells is a hint: its object is fetched,
and what was fetched counts.
"""
