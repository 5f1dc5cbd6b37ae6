"""Starts servers fast: everything is imported once, and each start is a fork with the command.

A line of JSON on stdin says the command and where its log goes. On stdout come the number of its
process, what that prints itself, and ``{"exit": code}`` when it is gone, however it went.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import wattledger.cli.running  # noqa: F401  (imported for the forks)
from wattledger.cli.main import main


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _run(command: list[str], log: str) -> None:
    """In the child: as if it had been started so; never returns."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        code = main(command)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if not pid:
        _run(asked["command"], asked["log"])
    _say(pid=pid)
    _say(exit=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
