"""Sign and verify a picture's C2PA manifest, offline but for a time stamp. Needs the extra ``provenance``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from airflow_provider_segmind import __version__
from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.api.media import media_type_of
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, has_c2pa, label

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
"""The algorithms that the C2PA specification allows (13.2.1, "Signature algorithms")."""

_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
"""Reading an untrusted picture must not fetch the addresses in it."""


@dataclass(frozen=True)
class Signature:
    """
    The content and the validity of a picture's C2PA manifest.

    :param state: ``Trusted``: unchanged, and the anchors vouch for the signer. ``Valid``: unchanged. ``Invalid``:
        changed.
    :param codes: the problems, as codes of the specification such as ``assertion.dataHash.mismatch``; a signer without
        an anchor is ``signingCredential.untrusted``.
    :param issuer: organisation in the certificate, or ``None``.
    :param signed_at: time of the time stamp, ISO 8601, or ``None`` without one.
    :param source_type: the digital source type in its actions, or ``None``.
    :param ingredients: titles of the pictures that it was made of.
    """

    state: str
    codes: tuple[str, ...] = ()
    issuer: str | None = None
    signed_at: str | None = None
    source_type: str | None = None
    ingredients: tuple[str, ...] = ()


def sign(
    data: bytes,
    *,
    certificate: bytes,
    key: bytes,
    algorithm: str = "es256",
    source: bytes | None = None,
    title: str = "body swap",
    source_title: str = "source",
    time_stamp_url: str | None = None,
) -> bytes:
    """
    Label a picture as partly made by a model, and sign it.

    The manifest says that ``source`` was opened and edited with a model. If the picture already has a manifest, it
    stays: the picture as received becomes the parent, and ``source`` an input. The manifest holds no thumbnails.

    :param data: a whole JPEG, PNG or WebP file.
    :param certificate: PEM chain, the signer's own certificate first.
    :param key: its private key, PEM without a passphrase.
    :param algorithm: one of :data:`ALGORITHMS` that fits the key.
    :param source: the picture that was sent for editing; a JPEG, PNG or WebP file.
    :param title: the picture's title in the manifest.
    :param source_title: the title of ``source``.
    :param time_stamp_url: an RFC 3161 time-stamp authority, called over the network; ``None`` for no time stamp.
    :return: the whole file, some kilobytes longer.
    :raises InvalidRequestError: if the extra, the certificate, the key or the picture cannot be used. The message never
        contains the key.
    :raises TransportError: if the time-stamp authority gives no time stamp.
    """
    c2pa = _library()
    check_pair(certificate, key, algorithm)
    media_type = _media_type(data, "picture")
    labelled = label(data, media_type)
    signed_before = has_c2pa(data, media_type)
    definition, ingredients = _manifest(title, source_title, data if signed_before else None, source)
    settings = {"verify": _OFFLINE, "builder": {"thumbnail": {"enabled": False}}}
    signed = BytesIO()
    try:
        info = c2pa.C2paSignerInfo(algorithm, certificate, key, time_stamp_url)
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(definition, context) as builder,
        ):
            for described, picture in ingredients:
                builder.add_ingredient(described, _media_type(picture, "source"), BytesIO(picture))
            builder.sign(signer, media_type, BytesIO(labelled), signed)
    except c2pa.C2paError as error:
        # The library's error only adds a chain of native frames.
        raise _unsigned(error, time_stamp_url) from None
    return signed.getvalue()


def verify(data: bytes, *, anchors: bytes | None = None) -> Signature | None:
    """
    Read and check the C2PA manifest of a picture, without the network.

    :param data: the whole file.
    :param anchors: PEM certificates that vouch for signers; without them none is ``Trusted``.
    :return: the result, or ``None`` if the picture has no manifest.
    :raises InvalidRequestError: if the extra is missing, or the picture or the anchors cannot be read.
    """
    c2pa = _library()
    media_type = _media_type(data, "picture")
    settings: dict[str, Any] = {"verify": {**_OFFLINE, "verify_trust": True}}
    if anchors is not None:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii", "replace")}
    try:
        with c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(media_type, BytesIO(data), context=context)
            if reader is None:
                return None
            with reader:
                return _signature(json.loads(reader.json()))
    except c2pa.C2paError as error:
        raise InvalidRequestError(
            f"The C2PA manifest of the picture cannot be read: {error}. Its bytes were not changed. Before you "
            "publish it, find out where it came from."
        ) from None


def check_pair(certificate: bytes, key: bytes, algorithm: str = "es256") -> None:
    """Raise unless a key belongs to a certificate and fits an algorithm; the message never contains the key."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    if algorithm not in ALGORITHMS:
        raise InvalidRequestError(f"The signing algorithm is {algorithm!r}: it must be one of {', '.join(ALGORITHMS)}.")
    try:
        chain = load_pem_x509_certificates(certificate)
    except ValueError:
        raise InvalidRequestError(
            "The signing certificate is no chain of PEM certificates. Give a file with the signer's own "
            "certificate first, and after it the certificates that vouch for it."
        ) from None
    try:
        private = load_pem_private_key(key, password=None)
    except (TypeError, ValueError, NotImplementedError):
        # The parser's message may quote the key.
        raise InvalidRequestError(
            "The signing key is no private key in PEM without a passphrase. Give such a key."
        ) from None
    if private.public_key() != chain[0].public_key():
        raise InvalidRequestError(
            f"The signing key does not belong to the first certificate of the chain, which is that of "
            f"{chain[0].subject.rfc4514_string()!r}. Give a key and a certificate that belong together."
        )
    if not _fits(private, algorithm):
        raise InvalidRequestError(
            f"The signing algorithm {algorithm!r} does not fit the key, which is of {_kind(private)}. Set the "
            "algorithm of the certificate."
        )


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise InvalidRequestError(
            "Signing needs a library that is not installed. Ask your Airflow administrator to run "
            "pip install 'airflow-provider-segmind[provenance]' on every worker."
        ) from None
    return c2pa


def _manifest(
    title: str, source_title: str, came_signed: bytes | None, source: bytes | None
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], bytes]]]:
    """Return a manifest's definition and its ingredients."""
    # The first action must be "opened" or "created" (C2PA specification, 18.15.4.2), and there is at most one parent.
    # Whether a model made a picture that came signed is for its own manifest (Segmind's) to say.
    ingredients, actions = [], []
    edited: dict[str, Any] = {"action": "c2pa.edited", "digitalSourceType": AI_COMPOSITE}
    parent = came_signed if came_signed is not None else source
    if parent is not None:
        name = title if came_signed is not None else source_title
        ingredients.append(({"title": name, "relationship": "parentOf", "label": "parent"}, parent))
        actions.append({"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}})
        if came_signed is not None and source is not None:
            ingredients.append(({"title": source_title, "relationship": "inputTo", "label": "source"}, source))
            edited["parameters"] = {"ingredientIds": ["source"]}
        actions.append(edited)
    else:
        actions.append({"action": "c2pa.created", "digitalSourceType": AI_COMPOSITE})
    definition = {
        "title": title,
        "claim_generator_info": [{"name": "airflow-provider-segmind", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }
    return definition, ingredients


def _signature(read: Mapping[str, Any]) -> Signature:
    manifest = read["manifests"].get(read.get("active_manifest"), {})
    said = manifest.get("signature_info") or {}
    results = read.get("validation_results") or {}
    failures = (results.get("activeManifest") or {}).get("failure") or read.get("validation_status") or ()
    actions = [
        action
        for assertion in manifest.get("assertions", ())
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", ())
    ]
    types = [action["digitalSourceType"] for action in actions if "digitalSourceType" in action]
    return Signature(
        state=str(read.get("validation_state")),
        codes=tuple(dict.fromkeys(failure["code"] for failure in failures)),
        issuer=said.get("issuer"),
        signed_at=said.get("time"),
        source_type=types[-1] if types else None,
        ingredients=tuple(str(ingredient.get("title")) for ingredient in manifest.get("ingredients", ())),
    )


def _media_type(data: bytes, what: str) -> str:
    kind = media_type_of(data)
    if kind is None:
        raise InvalidRequestError(
            f"The {what} begins with {data[:12]!r}, and only JPEG, PNG and WebP files can be signed. Convert it "
            "first, or leave it out."
        )
    return kind


def _fits(private: Any, algorithm: str) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(private, EllipticCurvePrivateKey):
        # The specification allows other pairs of curve and hash; the library does not.
        return {256: "es256", 384: "es384", 521: "es512"}.get(private.key_size) == algorithm
    return isinstance(private, Ed25519PrivateKey if algorithm == "ed25519" else RSAPrivateKey) and algorithm[:2] != "es"


def _kind(private: Any) -> str:
    curve = getattr(getattr(private, "curve", None), "name", "")
    return f"{type(private).__name__} {curve}".strip()


def _unsigned(error: Exception, time_stamp_url: str | None) -> SegmindError:
    if time_stamp_url and "http" in str(error).lower():
        return TransportError(
            f"The time-stamp authority {time_stamp_url} gave no time stamp, so the picture is not signed: {error}. "
            "The picture's bytes were not changed. Try again later. If that fails too, check the authority's URL."
        )
    return InvalidRequestError(
        f"The picture could not be signed: {error}. The picture's bytes were not changed. Ask your Airflow "
        "administrator to check the signing certificate."
    )
