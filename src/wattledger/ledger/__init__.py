"""Where the money stands: double entry, append-only.

Guarantees (each refused by the database, and looked for again by ``proof``): no unbalanced
posting, no entry changed or removed, no posting added later, no cause booked twice, no entry
across two legal entities or two currencies. Does not guarantee that a cause was right: that is
what reconciliation is for.
"""

from wattledger.ledger.accounts import Code
from wattledger.ledger.entries import Entry, Posting

__all__ = ["Code", "Entry", "Posting"]
