"""The lab's certificate: kept while it is good, remade when it is not, and then no server goes on with the old one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from include.lab import tls
from include.lab.lab import Lab
from include.lab.processes import Registry

NOW = datetime.datetime(2026, 11, 21, 7, tzinfo=datetime.UTC)


def test_a_good_certificate_is_kept(tmp_path: Path) -> None:
    first = tls.make_certificates(tmp_path, NOW).certificate.read_bytes()

    assert tls.make_certificates(tmp_path, NOW + datetime.timedelta(days=300)).certificate.read_bytes() == first
    assert tls.make_certificates(tmp_path, NOW + datetime.timedelta(days=360)).certificate.read_bytes() != first


def test_the_address_is_also_among_the_names(tmp_path: Path) -> None:
    """pgBackRest compares the endpoint's host with names of type DNS only, also when it is an address."""
    found = x509.load_pem_x509_certificate(tls.make_certificates(tmp_path, NOW).certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["localhost", "127.0.0.1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_servers_with_an_older_certificate_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(Registry, "stop", lambda _, name, **__: stopped.append(name))
    monkeypatch.setattr(tls, "_NAMES", x509.SubjectAlternativeName([x509.DNSName("localhost")]))
    old = Lab(tmp_path).certificates.certificate.read_bytes()
    assert stopped == []
    monkeypatch.undo()
    monkeypatch.setattr(Registry, "stop", lambda _, name, **__: stopped.append(name))

    renewed = Lab(tmp_path).certificates.certificate.read_bytes()

    assert renewed != old
    assert {"aws", "git", "vault", "us-east-1-radosgw", "us-west-2-radosgw"} < set(stopped)
    stopped.clear()
    assert Lab(tmp_path).certificates.certificate.read_bytes() == renewed
    assert stopped == []
