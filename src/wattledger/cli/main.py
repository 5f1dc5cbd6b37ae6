"""The command line: ``wattledger <command>``.

Exit codes: 0 done; 1 a check failed (verify, demo, lint, meter verify) or a format can't say a
tariff; 2 the command line, the configuration or what was given is wrong; 3 a session can't be
priced, or something outside failed (database, network).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence

from wattledger import __version__
from wattledger.errors import BadInput, CantPrice, ConfigError, WattledgerError

_EXIT_CODES = """\
exit codes:
  0  done
  1  a check failed: the ledger is not proved, an identity of the demo does not hold, a signed
     meter value is not verified, a tariff has an error, another format can't say it, an
     anomaly can't be decided so, or an import refused some of a file
  2  the command line, the configuration or what was given is wrong; the message says where
  3  a session can't be priced, or something outside failed: the database or the network
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal has no letters for is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except (ConfigError, BadInput) as error:
        return _fail(options, error, 2)
    except WattledgerError as error:
        return _fail(options, error, 3)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read it has seen enough: nothing is left to say, at the end of the program too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _fail(options: argparse.Namespace, error: Exception, code: int) -> int:
    text = str(error)
    more = {"code": error.code} if isinstance(error, CantPrice) else {}
    if isinstance(error, BadInput | CantPrice):
        # One line that does nothing to a terminal, whatever is quoted in it.
        text = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    if getattr(options, "json", False):
        print(json.dumps({"error": text, **more}))
    print(f"wattledger: {text}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wattledger",
        description="Billing for EV charging: from the meter to the books, to the cent.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wattledger {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="<command>")
    from wattledger.cli import commands as found  # noqa: PLC0415  (a fast --help)

    found.add_all(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
