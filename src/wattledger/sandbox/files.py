"""Files, as docs.stripe.com/file-upload has them: only evidence for disputes, and only what the
networks take. What is in them is not kept.
"""

from __future__ import annotations

import re

from stripe.params._file_create_params import FileCreateParams
from stripe.params._file_list_params import FileListParams
from stripe.params._file_retrieve_params import FileRetrieveParams

from wattledger.sandbox.listed import Row, newest, one
from wattledger.sandbox.params import Upload
from wattledger.sandbox.store import Store
from wattledger.sandbox.wire import Obj, invalid

EVIDENCE = "dispute_evidence"
SIZE_MAX = 5_000_000
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_KINDS = {b"%PDF-": "pdf", b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n": "png"}


def table() -> list[Row]:
    """What we stand in for."""
    return [
        ("POST", "files", FileCreateParams, create),
        ("GET", "files", FileListParams, newest("file", "files")),
        ("GET", "files/{id}", FileRetrieveParams, one("file")),
    ]


def create(store: Store, _: Obj, p: Obj) -> Obj:
    """A file for a dispute's evidence, of a type and size that is taken for it."""
    given, purpose = p["file"], p["purpose"]
    if not isinstance(given, Upload):
        raise invalid("Invalid file: expected a file upload", "file")
    if purpose != EVIDENCE:
        raise invalid(f"The sandbox stands in for files of the purpose {EVIDENCE} only.", "purpose")
    if not given.content or len(given.content) > SIZE_MAX:
        raise invalid(f"The file is {len(given.content)} bytes; at most 5 MB are taken.", "file")
    kind = next((k for mark, k in _KINDS.items() if given.content.startswith(mark)), None)
    if kind is None:
        raise invalid("Invalid file type: must be a PDF, JPEG or PNG.", "file")
    file_id = store.new_id("file")
    made = {
        "id": file_id,
        "object": "file",
        "created": store.now_s,
        "expires_at": None,
        "filename": given.filename,
        "links": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/file_links?file={file_id}",
        },
        "purpose": purpose,
        "size": len(given.content),
        "title": None,
        "type": kind,
        "url": f"https://files.stripe.com/v1/files/{file_id}/contents",
    }
    store.pages[file_id] = len(_PAGE.findall(given.content)) if kind == "pdf" else 1
    return store.add(made)


def check(store: Store, name: str, file_id: str) -> None:
    """Raises StripeError unless it is a file that may be evidence."""
    found = store.tables["file"].get(file_id)
    if found is None:
        raise invalid(f"No such file upload: '{file_id}'", f"evidence[{name}]")
    if found["purpose"] != EVIDENCE:
        raise invalid(f"File {file_id} is no {EVIDENCE}", f"evidence[{name}]")
