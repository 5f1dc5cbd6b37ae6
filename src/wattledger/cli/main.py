"""The command line: ``wattledger <command>``.

Exit codes: 0 done; 1 a check failed (verify, demo); 2 the command line or the configuration is
wrong; 3 something outside failed (database, network).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from wattledger import __version__
from wattledger.errors import BadInput, ConfigError, WattledgerError

_EXIT_CODES = """\
exit codes:
  0  done
  1  a check failed: the ledger is not proved, an identity of the demo does not hold
  2  the command line or the configuration is wrong; the message says where
  3  something outside failed: the database or the network
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (ConfigError, BadInput) as error:
        return _fail(options, error, 2)
    except WattledgerError as error:
        return _fail(options, error, 3)
    except KeyboardInterrupt:
        return 130


def _fail(options: argparse.Namespace, error: Exception, code: int) -> int:
    if getattr(options, "json", False):
        print(json.dumps({"error": str(error)}))
    print(f"wattledger: {error}", file=sys.stderr)
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
