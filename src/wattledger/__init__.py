"""Wattledger: billing for EV charging, from the meter to the books, to the cent.

The folders stand in the order of the data's path; docs/architecture.md walks along it.
"""

__version__ = "0.1.0"
