"""The certificate with which this Airflow signs pictures, from the options in ``[segmind]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from airflow.sdk.log import mask_secret

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import conf
from airflow_provider_segmind.provenance.signing import check_pair, sign

_PEM = "-----BEGIN "
_KEY = "signing_key"


@dataclass(frozen=True)
class Signer:
    """
    Signs pictures.

    :param certificate: PEM chain.
    :param key: PEM; no ``repr`` shows it.
    :param algorithm: see :func:`~airflow_provider_segmind.provenance.signing.sign`.
    :param time_stamp_url: URL of a time-stamp authority, or ``None``.
    """

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    algorithm: str = "es256"
    time_stamp_url: str | None = None

    def sign(
        self, data: bytes, source: bytes | None = None, *, title: str = "body swap", source_title: str = "source"
    ) -> bytes:
        """
        Label a picture and sign it.

        :param data: a whole JPEG, PNG or WebP file.
        :param source: the picture that was sent to be edited.
        :param title: title of the picture in its manifest.
        :param source_title: title of ``source``.
        :return: the whole file.
        :raises InvalidRequestError: the certificate or the picture cannot be used.
        :raises TransportError: the time-stamp authority returns no time stamp.
        """
        return sign(
            data,
            certificate=self.certificate,
            key=self.key,
            algorithm=self.algorithm,
            source=source,
            title=title,
            source_title=source_title,
            time_stamp_url=self.time_stamp_url,
        )


def signer() -> Signer | None:
    """
    Return this Airflow's signer, or ``None`` if the administrator configured none.

    ``[segmind] signing_certificate`` and ``signing_key`` are paths of PEM files, or the PEM itself from a secrets
    backend. Airflow masks the key in all logs.

    :raises InvalidRequestError: an option cannot be used; the message names the option and never shows the key.
    """
    given = {name: _option(name) for name in ("signing_certificate", _KEY)}
    if not any(given.values()):
        return None
    for name, value in given.items():
        if not value:
            raise InvalidRequestError(
                f"[segmind] {name} is not set, but signing needs both signing_certificate and signing_key. Ask your "
                "Airflow administrator to set both, or neither."
            )
    made = Signer(
        _pem("signing_certificate", given["signing_certificate"]),
        _pem(_KEY, given[_KEY]),
        _option("signing_algorithm").lower() or "es256",
        _time_stamp_url(),
    )
    try:
        check_pair(made.certificate, made.key, made.algorithm)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"[segmind] signing_certificate, signing_key and signing_algorithm cannot be used: {error.message} "
            "Ask your Airflow administrator to correct these options."
        ) from None
    return made


def _option(name: str) -> str:
    return str(conf.get("segmind", name, fallback=None) or "").strip()


def _pem(name: str, value: str) -> bytes:
    if value.startswith(_PEM):
        if name == _KEY:
            mask_secret(value)
        return value.encode()
    try:
        data = Path(value).read_bytes()
    except (OSError, ValueError) as error:
        # The value may be a key in another format, so never show it as if it were a path.
        shown = "its value" if name == _KEY else repr(value)
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidRequestError(
            f"[segmind] {name}: {shown} cannot be read as a file ({reason}). Ask your Airflow administrator to set it "
            "to the path of a PEM file that every worker can read, or to the PEM itself."
        ) from None
    if name == _KEY:
        mask_secret(data.decode("ascii", "replace"))
    return data


def _time_stamp_url() -> str | None:
    url = _option("signing_time_stamp_url")
    if url and not url.startswith(("https://", "http://")):
        raise InvalidRequestError(
            f"[segmind] signing_time_stamp_url is {url!r}. Ask your Airflow administrator to set it to an https:// or "
            "http:// URL."
        )
    return url or None
