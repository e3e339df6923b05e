"""Where a repository is: a folder of this machine, or a URL without credentials."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

ALLOWED = (
    "allowed is an absolute path, https://host/path, ssh://user@host/path or git://host/path, without a password "
    "(it belongs into the connection)"
)
_SCHEMES = ("https", "http", "ssh", "git")


@dataclass(frozen=True)
class Address:
    """Where a repository is. Fit for command lines and messages: it never holds a secret.

    :param scheme: ``file`` for a folder of this machine, else the URL's; also git's name of the protocol.
    """

    text: str
    scheme: str
    host: str = ""
    port: int | None = None

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.scheme == "file"

    @property
    def takes_password(self) -> bool:
        """Whether a name and a password may travel there."""
        return self.scheme == "https" or (self.scheme == "http" and _loopback(self.host))


def parse_address(text: str) -> Address:
    """Read an address.

    :raises ValueError: in a sentence, when it is none, would carry a secret, or would be taken for an option.
    """
    if "\n" in text or "\0" in text:
        raise ValueError(f"found {text!r}, which has a line break; {ALLOWED}")
    if text.startswith("/"):
        return Address(text, "file")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"found an address that cannot be read; {ALLOWED}") from None
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        # Not quoted: what is wrong with it is that it holds a secret.
        raise ValueError(f"found a URL with credentials in it; {ALLOWED}")
    if parts.scheme not in _SCHEMES or not parts.hostname or len(parts.path) < 2 or parts.query or parts.fragment:
        raise ValueError(f"found {text!r}; {ALLOWED}")
    if parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise ValueError(f"found {text!r}, which ssh would take for an option; {ALLOWED}")
    return Address(text, parts.scheme, parts.hostname, port)


def without_credentials(url: str) -> str:
    """Any URL or path as it may be shown: what stands before an ``@`` of a URL is left out."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
