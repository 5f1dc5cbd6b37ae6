"""The demo: a sample of real sessions, simulated charge points, and the proof that it adds up.

``run`` is the command. The charge points are driven by the PyPI ``ocpp`` package, and what
they say they delivered, the CPMS's own amounts and the sandbox's own totals are what the
server's figures are compared with. It needs the extras ``demo`` and, without a PostgreSQL of
one's own, ``embedded``.
"""

from __future__ import annotations

from pathlib import Path

DEFAULT_SESSIONS = 260


def run(*, sessions: int, data_dir: Path | None, stay: bool, as_json: bool) -> int:
    """See ``wattledger.demo.command.run``; imported only now, since its parts are an extra."""
    from wattledger.demo.command import run as run_demo  # noqa: PLC0415

    return run_demo(sessions=sessions, data_dir=data_dir, stay=stay, as_json=as_json)
