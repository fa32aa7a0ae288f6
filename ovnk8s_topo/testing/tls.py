"""Throw-away certificates for a TLS server on 127.0.0.1 and its clients."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ovnk8s_topo.testing.tools import OvnNotInstalled, program, run

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one side of a connection: its certificate and key, and the CA that signed both sides'."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> tuple[TlsFiles, TlsFiles]:
    """Make a CA and two certificates in `directory`: (server, client). The server's is for 127.0.0.1 and localhost.

    OvnNotInstalled  there is no openssl program
    """
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    _openssl("-subj", "/CN=ovnk8s-topo test CA", "-keyout", str(ca_key), "-out", str(ca))
    return _signed(directory, "server", ca, ca_key), _signed(directory, "client", ca, ca_key)


def _signed(directory: Path, name: str, ca: Path, ca_key: Path) -> TlsFiles:
    files = TlsFiles(ca=ca, certificate=directory / f"{name}.pem", key=directory / f"{name}.key")
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    signer = ("-CA", str(ca), "-CAkey", str(ca_key))
    _openssl(*subject, *signer, "-keyout", str(files.key), "-out", str(files.certificate))
    return files


def _openssl(*arguments: str) -> None:
    try:
        openssl = program("openssl")
    except OvnNotInstalled as error:
        raise OvnNotInstalled("openssl not found: apt-get install openssl") from error
    run((openssl, "req", "-x509", "-days", "2", *_NEW_KEY, *arguments), os.environ)
