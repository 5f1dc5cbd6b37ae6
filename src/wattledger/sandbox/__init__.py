"""A stand-in for what we depend on: Stripe over its own wire protocol, and a webhook receiver.

It runs as its own process (``python -m wattledger.sandbox``), is driven by the official
clients and shares nothing with the product but its vocabulary (money, clock, ids, errors),
so a mistake of ours can't be made on both sides of the wire.
"""
