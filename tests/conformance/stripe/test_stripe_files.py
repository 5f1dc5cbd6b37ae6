"""Files for the evidence of a dispute, as docs.stripe.com/file-upload has them."""

from __future__ import annotations

import pytest
import stripe
from stripe_account import Upload, pdf

EVIDENCE = "dispute_evidence"
_MB = 1_000_000


def _upload(account, file, key=None):
    options = {"idempotency_key": key} if key else {}
    return account.v1.files.create({"purpose": EVIDENCE, "file": file}, options)


def test_a_file_keeps_its_name_size_and_purpose_and_is_listed(account):
    name = f"receipt-{account.key_of('x')[-12:]}.pdf"
    given = pdf(name)
    size = len(given.getvalue())
    made = _upload(account, given)
    assert (made.object, made.filename, made.size, made.purpose, made.type) == (
        "file", name, size, EVIDENCE, "pdf",
    )  # fmt: skip
    listed = account.v1.files.list({"purpose": EVIDENCE, "limit": 5}).data
    assert [each.id for each in listed if each.filename == name] == [made.id]
    assert account.v1.files.retrieve(made.id).filename == name


def test_the_same_file_under_the_same_key_is_one_file(account):
    """Each sends its parts between boundaries of its own."""
    key = account.key_of("file")
    first = _upload(account, pdf("once.pdf"), key)
    assert _upload(account, pdf("once.pdf"), key).id == first.id
    assert _upload(account, pdf("once.pdf")).id != first.id, "twice are two files, and cost nothing"
    with pytest.raises(stripe.IdempotencyError):
        _upload(account, pdf("once.pdf", "another"), key)


@pytest.mark.parametrize(
    "content", [b"", b"just text", b"GIF89a...", b"%PDF-1.4" + b" " * 5 * _MB + b"%%EOF"]
)
def test_what_is_no_pdf_jpeg_or_png_of_at_most_5_mb_is_refused(account, content):
    account.only_here("upload what may be taken after all")
    with pytest.raises(stripe.InvalidRequestError):
        _upload(account, Upload("file.pdf", content))


def test_evidence_names_files_that_there_are(account):
    charge = account.paid(6000, "pm_card_createDispute").latest_charge
    found = account.eventually(lambda: account.v1.disputes.list({"charge": charge.id}).data)
    file = _upload(account, pdf("receipt.pdf"))
    named = {"receipt": file.id, "service_documentation": file.id}
    with pytest.raises(stripe.InvalidRequestError, match="No such file"):
        account.v1.disputes.update(found[0].id, {"evidence": {"receipt": "file_none"}})
    row = account.v1.disputes.update(found[0].id, {"evidence": named, "submit": False})
    assert (row.evidence.receipt, row.evidence.service_documentation) == (file.id, file.id)


def test_evidence_has_no_more_pages_than_the_network_takes(account):
    """Since 2026-09-30: Mastercard takes 19."""
    account.only_here("dispute a payment by Mastercard")
    charge = account.paid(6000, "pm_card_mastercard").latest_charge
    opened = account.sim("dispute", charge=charge.id)
    long = _upload(account, Upload("long.pdf", b"%PDF-1.4 " + b"<</Type /Page>> " * 18))
    named = {"service_documentation": long.id, "uncategorized_text": "a" * 8_000}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        account.v1.disputes.update(opened["id"], {"evidence": named, "submit": False})
    assert refusal.value.code == "dispute_evidence_page_limit_exceeded"
    named["uncategorized_text"] = "a"
    account.v1.disputes.update(opened["id"], {"evidence": named, "submit": False})
