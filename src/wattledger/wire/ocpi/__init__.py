"""OCPI 2.1.1, 2.2.1 and 2.3.0: tariffs and charge detail records (CDRs) as they are on the wire.

One module a version, in the standard's own names; ``cdrs`` reads a CDR of any of them, ``common``
has what they share. What a tariff means is none of this package's business.
"""
