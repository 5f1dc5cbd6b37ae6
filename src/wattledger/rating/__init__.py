"""From a delivery, or another party's record, to a charge and its explanation: pure, exact, in
integers.

``price`` takes values, ``price_file`` JSON of either kind, ``price_cdr`` an OCPI CDR; all give a
``Charge``. ``report`` makes JSON of it, ``driver_text`` a bill, ``encode`` what is stored.
"""

from wattledger.rating.assessment import (
    TaxAssessment,
    TaxEngine,
    TaxRequest,
    tax_request,
    unassessed,
    with_assessment,
)
from wattledger.rating.codec import decode, encode
from wattledger.rating.concessions import carried, one_more, with_concessions
from wattledger.rating.credit import Credit, credit_of, decode_credit, encode_credit
from wattledger.rating.engine import price
from wattledger.rating.explain import driver_text, evidence, why
from wattledger.rating.inputs import price_file, price_session
from wattledger.rating.model import (
    ENGINE,
    Charge,
    Difference,
    Evidence,
    Line,
    LineKind,
    Period,
    Source,
    TaxAmount,
)
from wattledger.rating.records import cdr_tariffs, price_cdr
from wattledger.rating.report import report
from wattledger.rating.returns import tax_return
from wattledger.rating.terms import Assessed, Concession, Discount, Draw, Fee, Tax, Terms

__all__ = [
    "ENGINE",
    "Assessed",
    "Charge",
    "Concession",
    "Credit",
    "Difference",
    "Discount",
    "Draw",
    "Evidence",
    "Fee",
    "Line",
    "LineKind",
    "Period",
    "Source",
    "Tax",
    "TaxAmount",
    "TaxAssessment",
    "TaxEngine",
    "TaxRequest",
    "Terms",
    "carried",
    "cdr_tariffs",
    "credit_of",
    "decode",
    "decode_credit",
    "driver_text",
    "encode",
    "encode_credit",
    "evidence",
    "one_more",
    "price",
    "price_cdr",
    "price_file",
    "price_session",
    "report",
    "tax_request",
    "tax_return",
    "unassessed",
    "why",
    "with_assessment",
    "with_concessions",
]
