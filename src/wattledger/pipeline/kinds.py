"""The kinds of effects, by the desk of the worker that they are done at.

Each desk has hands of its own: a receiver, a mail server or a reader that hangs keeps nobody's card
waiting.
"""

from __future__ import annotations

from wattledger.pipeline import timed
from wattledger.pipeline.display import shown_2

MONEY = [
    "stripe.hold",
    "stripe.intent",
    "stripe.increment",
    "stripe.capture",
    "stripe.release",
    "stripe.charge",
    "stripe.refund",
    "stripe.file",
    "stripe.evidence",
    "stripe.reader",
    "stripe.reader_cancel",
    "vendor.settle",
]
"""What moves money at a processor, or a terminal's vendor: a lane for each payment."""
READING = ["stripe.read"]
"""Readings of the processor's balance."""
FETCHING = ["stripe.fetch", "stripe.sweep"]
"""Objects that a webhook or the nightly sweep hinted at."""
TIMED = [shown_2.DUE, timed.DUE]
"""Nothing is called: their business time comes, that is all."""
MAIL = ["mail.send"]
