"""Certificates made for these tests, as an authority on C2PA's trust list could have issued them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Issued:
    """A signer's chain and key, and the anchor that vouches for it; all PEM."""

    certificate: bytes
    key: bytes
    anchor: bytes


@cache
def issued(organisation: str = "Example Photos", *, own_authority: bool = False) -> Issued:
    """
    Return a new ES256 key with a certificate and its authority's.

    :param own_authority: give the authority's own certificate and key instead, which may not sign pictures.
    """
    now = datetime.now(UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, name = _name("Example Authority", "root"), _name(organisation, "signer")

    def build(subject: x509.Name, public: Any, *, ca: bool) -> x509.Certificate:
        usages = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**{usage: usage in usages for usage in _USAGES}), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if not ca:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        return builder.sign(authority_key, hashes.SHA256())

    anchor = build(authority_name, authority_key.public_key(), ca=True).public_bytes(Encoding.PEM)
    if own_authority:
        return Issued(anchor, _pem(authority_key), anchor)
    own = build(name, key.public_key(), ca=False).public_bytes(Encoding.PEM)
    return Issued(own + anchor, _pem(key), anchor)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )
