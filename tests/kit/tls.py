"""A certificate of localhost and 127.0.0.1 for a hundred years, with its key, for tests alone."""

from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUGZNPV619+J3Ie+d3F27DT8I2eQ0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDE0NDgzN1oYDzIxMjYxMTA2
MTQ0ODM3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQQMM/CTBVPsxGBKAVlQ/t7hg4xVWWlfEtFt44SYMr6SCuclH4VX7eq
8ARQUQJMNuBM26/P37jNjMuXmayxnNbEo28wbTAdBgNVHQ4EFgQUWJSaFbSMB28N
fAg/ogkVZYK50NUwHwYDVR0jBBgwFoAUWJSaFbSMB28NfAg/ogkVZYK50NUwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIge2Q+5y3NpaD62Ya0Cpqo/lhoio2dylcWCjioR9Zqcl4CID6a
ZWcHtzp0CrD++ie0dauC6f5kWLkPjqMn4td/nBfl
-----END CERTIFICATE-----
"""

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQC46V5hXQ/zc2fQ2
pR7ONj8gHetLpWZws0ar2xDH3f2hRANCAAQQMM/CTBVPsxGBKAVlQ/t7hg4xVWWl
fEtFt44SYMr6SCuclH4VX7eq8ARQUQJMNuBM26/P37jNjMuXmayxnNbE
-----END PRIVATE KEY-----
"""


def certificate(folder: Path) -> tuple[Path, Path]:
    """The files of the certificate and of its key."""
    files = folder / "cert.pem", folder / "key.pem"
    for file, text in zip(files, (CERTIFICATE, KEY), strict=True):
        file.write_text(text)
    return files
