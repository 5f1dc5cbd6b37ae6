"""The edge to the charge points.

Guarantees: a StartTransaction, StopTransaction or MeterValues is committed before it is
answered; every CALL is answered; frames of one charge point are handled in order; one CALL of
ours is outstanding at a time. Does not guarantee that a command arrives: it expires.
"""
