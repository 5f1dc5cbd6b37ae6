"""TLS for charge points (security profile 2), with certificates made here."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway_edge import PASSWORD, WITH_PASSWORD, Listening, ask
from wattledger.errors import ConfigError
from wattledger.gateway.tls import Certificate


def _write(folder: Path, name: str) -> Certificate | None:
    """A self-signed certificate of that name, in ``chain.pem`` and ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "chain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return None


def _client(**how: object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in how.items():
        setattr(context, name, value)
    return context


def _old() -> ssl.SSLContext:
    with warnings.catch_warnings(action="ignore"):
        return _client(
            minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1
        )


async def _common_name(port: int) -> str:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_client())
    raw = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    (name,) = x509.load_der_x509_certificate(raw).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)


async def test_a_renewed_certificate_is_used_and_connections_stay(
    listening: Listening, tmp_path: Path
) -> None:
    _write(tmp_path, "first")
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert not certificate.reload_if_changed()
    async with listening() as edge:
        plain, port = await edge.gateway.begin("127.0.0.1", None, 0, certificate)
        assert plain is None
        login = websockets.headers.build_authorization_basic(WITH_PASSWORD, PASSWORD)
        url = f"wss://127.0.0.1:{port}/ocpp/{WITH_PASSWORD}"
        socket = await websockets.connect(
            url, ssl=_client(), subprotocols=[websockets.Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": login}, proxy=None, compression=None,
        )  # fmt: skip
        assert (await ask(socket, "Heartbeat", {}))[0] == 3
        assert await _common_name(port) == "first"

        _write(tmp_path, "second")
        assert certificate.reload_if_changed()
        assert await _common_name(port) == "second"

        # Half of a renewal: the key does not fit, and what we have stays.
        key = (tmp_path / "key.pem").read_bytes()
        _write(tmp_path, "third")
        (tmp_path / "key.pem").write_bytes(key)
        assert not certificate.reload_if_changed()
        assert await _common_name(port) == "second"

        with pytest.raises(ssl.SSLError):  # TLS 1.1 is too old
            await asyncio.open_connection("127.0.0.1", port, ssl=_old())
        assert (await ask(socket, "Heartbeat", {}))[0] == 3  # the first connection still is


def test_a_certificate_that_is_none_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.ocpp_tls_cert"):
        Certificate(tmp_path / "none.pem", tmp_path / "none.pem")
