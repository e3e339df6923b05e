"""Which addresses of repositories are taken, and that none of them carries a secret."""

from __future__ import annotations

import pytest

from include.recovery.git.address import parse_address, without_credentials


@pytest.mark.parametrize(("text", "scheme", "host", "port"), [
    ("/srv/git/labdojo.git", "file", "", None),
    ("https://git.example.org/team/labdojo.git", "https", "git.example.org", None),
    ("http://127.0.0.1:8080/x", "http", "127.0.0.1", 8080),
    ("ssh://git@git.example.org:2222/x.git", "ssh", "git.example.org", 2222),
    ("git://git.example.org/x.git", "git", "git.example.org", None),
])  # fmt: skip
def test_addresses(text: str, scheme: str, host: str, port: int | None) -> None:
    found = parse_address(text)
    assert (found.text, found.scheme, found.host, found.port) == (text, scheme, host, port)


@pytest.mark.parametrize("text", [
    "labdojo.git", "git@git.example.org:team/x.git", "ext::sh -c id", "file:///srv/git", "https://", "https://host",
    "ftp://host/x", "https://host/x?token=1", "ssh://-oProxyCommand=id/x", "ssh://-x@host/x", "/srv/a\nb",
    "https://host:port/x", "ssh://[::1/x",
])  # fmt: skip
def test_what_is_no_address_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is an absolute path, https://"):
        parse_address(text)


@pytest.mark.parametrize("text", [
    "https://me:hidden@host/x.git", "https://hidden@host/x.git", "ssh://git:hidden@host/x.git", "http://:hidden@host/x",
])  # fmt: skip
def test_a_url_with_a_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="found a URL with credentials in it") as caught:
        parse_address(text)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("text", "takes"), [
    ("https://git.example.org/x", True), ("http://127.0.0.1/x", True), ("http://localhost/x", True),
    ("http://git.example.org/x", False), ("git://git.example.org/x", False), ("/srv/x", False),
])  # fmt: skip
def test_passwords_travel_encrypted_or_not_at_all(text: str, *, takes: bool) -> None:
    assert parse_address(text).takes_password is takes


def test_urls_are_shown_without_credentials() -> None:
    assert without_credentials("https://me:hidden@host/a@b") == "https://host/a@b"
    assert without_credentials("../beside") == "../beside"
    assert without_credentials("ssh://git@host") == "ssh://host"
