"""The commands of pricing, which need no configuration and no server: their arguments and help."""

from __future__ import annotations

import argparse

from wattledger.cli.options import command, config_option, json_option

_PRICE_CODES = """
exit codes:
  0  priced
  2  something given can't be taken; one line says where, what came, what was expected
  3  it can't be priced (no valid tariff, no time zone, a measurement missing, ...); one line
     says why
"""
_LINT_CODES = """
exit codes:
  0  no errors; there may be warnings
  1  at least one error
  2  the file can't be taken as a tariff; one line says where
"""
_CONVERT_CODES = """
exit codes:
  0  converted
  1  the format can't say all of it; every loss on a line of its own, and nothing is written
  2  something given can't be taken; one line says where
"""


def add_all(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Price, explain, lint and tariff."""
    _price(commands)
    _explain(commands)
    _lint(commands)
    _tariff(commands)


def _price(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "price", _run_price,
        "price an OCPI CDR (2.1.1, 2.2.1, 2.3.0) or a session file, or a list of them",
        "wattledger price session.json --tariff tariff.toml --tax VAT=19 --json",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_PRICE_CODES}"
    parser.add_argument("input", metavar="INPUT", help="the file; - for standard input")
    _pricing_options(parser)
    parser.add_argument(
        "--cost", metavar="FILE",
        help="what the energy costs you: a URDB record (JSON), a utility tariff (TOML) or prices "
        "(CSV: start,price); adds cost and margin",
    )  # fmt: skip
    parser.add_argument("--cost-currency", metavar="CODE",
                        help="the currency of prices in CSV, which don't say it")  # fmt: skip
    parser.add_argument("--cost-per", default="kWh", metavar="UNIT",
                        help="what a price in CSV is for: kWh (default) or MWh")  # fmt: skip
    json_option(parser, "print one JSON object; a list of them if INPUT holds a list")


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "explain", _run_explain,
        "say why a bill is as it is: of a CDR, a session file, or a charge that was stored",
        "wattledger explain session.json --tariff tariff.toml",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_PRICE_CODES}"
    parser.add_argument(
        "input", metavar="INPUT-OR-CHARGE",
        help="a file as for price; a charge document as it is stored (with --tariff); or the id "
        "of a session or charge in the database of --config",
    )  # fmt: skip
    _pricing_options(parser)
    config_option(parser)
    json_option(parser, "print one JSON object, as price does")


def _pricing_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tariff", action="append", default=[], metavar="FILE",
        help="a tariff: OCPI, OCPP 2.1 or our own (JSON or TOML); may be repeated, and takes the "
        "place of those in a CDR",
    )  # fmt: skip
    parser.add_argument("--time-zone", metavar="ZONE",
                        help="the site's IANA zone, such as America/New_York")  # fmt: skip
    parser.add_argument(
        "--policy", action="append", default=[], metavar="NAME=VALUE",
        help="a policy over the tariff's own, such as zero_energy=release; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--tax", action="append", default=[], metavar="NAME=PERCENT",
        help="a tax where the tariff states none, or NAME=AMOUNT/kWh on all energy; may be "
        "repeated",
    )  # fmt: skip
    parser.add_argument(
        "--discount", action="append", default=[], metavar="PERCENT[:DIMENSION,...]",
        help="what the driver's plan takes off, such as 25:energy; may be repeated, the first "
        "that fits counts",
    )  # fmt: skip
    parser.add_argument(
        "--allowance", action="append", default=[], metavar="DIMENSION=QUANTITY",
        help="what the driver's plan has left, such as energy=20kWh or charging_time=60min",
    )  # fmt: skip
    parser.add_argument("--fee", action="append", default=[], metavar="TEXT=AMOUNT",
                        help="a fee of the way of paying, as a line of its own")  # fmt: skip


def _run_price(options: argparse.Namespace) -> int:
    from wattledger.cli import pricing  # noqa: PLC0415

    return pricing.price(options)


def _run_explain(options: argparse.Namespace) -> int:
    from wattledger.cli import explaining  # noqa: PLC0415

    return explaining.explain(options)


def _lint(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "lint", _run_lint,
        "find what is wrong with a tariff, or will surprise somebody, before anybody pays by it",
        "wattledger lint tariff.toml --jurisdiction US-CA --power-w 150000",
    )  # fmt: skip
    parser.epilog = f"{parser.epilog}\n{_LINT_CODES}"
    parser.add_argument(
        "tariff", metavar="TARIFF",
        help="a tariff, a list of them or a configuration; - for standard input",
    )  # fmt: skip
    parser.add_argument(
        "--jurisdiction", metavar="PLACE",
        help="also hold it against the rules of a place, such as US-CA or DE",
    )  # fmt: skip
    parser.add_argument(
        "--programme", action="append", default=[], metavar="NAME",
        help="and against those of a funding programme, such as US-NEVI; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--on", metavar="DATE",
        help="the day whose rules are asked (default: those that have no end)",
    )  # fmt: skip
    parser.add_argument(
        "--power-w", metavar="N",
        help="the connector's power in W (default: any; a rule that depends on it then only warns)",
    )  # fmt: skip
    json_option(parser)


def _run_lint(options: argparse.Namespace) -> int:
    from wattledger.cli import tariff_files  # noqa: PLC0415

    return tariff_files.lint(options)


def _tariff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = command(
        commands, "tariff", None, "work with tariff files",
        "wattledger tariff convert tariff.toml --to ocpp-2.1 -o tariff.json",
    )  # fmt: skip
    inner = parser.add_subparsers(dest="tariff_command", required=True, metavar="<command>")
    convert = command(
        inner, "convert", _run_convert, "write a tariff in another format",
        "wattledger tariff convert tariff.toml --to ocpi-2.2.1 --country-code DE --party-id ABC",
    )  # fmt: skip
    convert.epilog = f"{convert.epilog}\n{_CONVERT_CODES}"
    convert.add_argument("input", metavar="FILE",
                         help="a tariff, or a list of them; - for standard input")  # fmt: skip
    convert.add_argument(
        "--to", required=True, metavar="FORMAT",
        help="ocpi-2.1.1, ocpi-2.2.1, ocpi-2.3.0, ocpp-2.1 or wattledger",
    )  # fmt: skip
    convert.add_argument(
        "--from", dest="form", metavar="FORMAT",
        help="what FILE is (default: what its fields say; OCPI's versions look alike)",
    )  # fmt: skip
    convert.add_argument("--country-code", metavar="CODE",
                         help="OCPI's country_code, where the tariff has none")  # fmt: skip
    convert.add_argument("--party-id", metavar="ID",
                         help="OCPI's party_id, where the tariff has none")  # fmt: skip
    convert.add_argument(
        "--last-updated", metavar="TIME",
        help="OCPI's last_updated (default: the tariff's own, else the present moment)",
    )  # fmt: skip
    convert.add_argument("-o", "--output", metavar="FILE",
                         help="where to write it (default: standard output)")  # fmt: skip


def _run_convert(options: argparse.Namespace) -> int:
    from wattledger.cli import tariff_files  # noqa: PLC0415

    return tariff_files.convert(options)
