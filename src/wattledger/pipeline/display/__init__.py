"""What drivers are shown while they charge, on displays of OCPP 1.6, 2.0.1 and 2.1.

Guarantees that every figure is the bill's own function over what is known by then. A fault in here
is recorded and costs no message of the charge point.
"""
