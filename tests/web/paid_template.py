"""The seeded network with payments as a database to copy: seeding it for each test takes longer."""

from __future__ import annotations

import psycopg
from seed_payments import payments
from seed_troubles import network

from wattledger.db.connect import Database
from wattledger.db.embedded import SUPERUSER, EmbeddedServer
from wattledger.db.roles import Role

_NAME = "paid_template"
_made: set[str] = set()


def paid_template(server: EmbeddedServer, template: str) -> str:
    """Its name; made once for a server."""
    if server.dsn(SUPERUSER, _NAME) not in _made:
        with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {_NAME} TEMPLATE {template} OWNER {Role.OWNER}".encode())
        seeded = Database.on_server(server, _NAME)
        with psycopg.connect(seeded.conninfo(Role.APP)) as conn:
            network(conn)
            payments(conn)
        _made.add(server.dsn(SUPERUSER, _NAME))
    return _NAME
