"""Writes the golden corpus anew. Run by hand, after README.md was read: ``python write.py``."""

from __future__ import annotations

from golden_cases import HERE, NAMES, load


def main() -> None:
    folder = HERE / "charges"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name in NAMES:
        case = load(name)
        raw, bill = case.render()
        case.charge_path.write_bytes(raw)
        case.bill_path.write_text(bill, encoding="utf-8")


if __name__ == "__main__":
    main()
