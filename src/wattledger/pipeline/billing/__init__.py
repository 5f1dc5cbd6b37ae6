"""From a billable session to its documents, and to the next pair when what it comes to changes.

Guarantees that rating, booking, effects and the session's move to billed are one transaction, and
that what was issued is never edited: a change is a credit and a new charge. What can't be priced
safely is held, with its reason, until a person decides.
"""
