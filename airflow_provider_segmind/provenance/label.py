"""Label a picture as partly made by a model, without changing a pixel or breaking a signature."""

from __future__ import annotations

from airflow_provider_segmind.provenance import xmp
from airflow_provider_segmind.provenance.containers import Container, Jpeg, Png, Webp, refusal

AI_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a photo into which a model has put something, as a body swap does."""


_READERS: dict[str, type[Container]] = {known.kind.media_type: known for known in (Jpeg, Png, Webp)}


def label(data: bytes, media_type: str) -> bytes:
    """
    Return a picture whose XMP names its digital source type: :data:`AI_COMPOSITE`.

    Only the XMP changes, and its other properties stay. A picture that already has the label is returned unchanged, and
    so is one with a C2PA manifest, which any change would break.

    :param data: the whole file.
    :param media_type: ``image/jpeg``, ``image/png`` or ``image/webp``.
    :return: the whole file, about 600 bytes longer.
    :raises InvalidRequestError: if the file or its XMP packet cannot be read, or the type is another one.
    """
    file = _read(data, media_type)
    if _has_c2pa(file):
        return data
    packet, kind = file.packet, file.kind.name
    if packet is not None and xmp.source_type_of(packet, kind) == AI_COMPOSITE:
        return data
    return file.with_packet(xmp.with_source_type(packet, AI_COMPOSITE, kind))


def source_type(data: bytes, media_type: str) -> str | None:
    """
    Return the digital source type that a picture's XMP names, or ``None``.

    :raises InvalidRequestError: as :func:`label`.
    """
    file = _read(data, media_type)
    packet = file.packet
    return None if packet is None else xmp.source_type_of(packet, file.kind.name)


def has_c2pa(data: bytes, media_type: str) -> bool:
    """
    Whether a picture has a C2PA manifest, or names a remote one. Does not check whether it is valid.

    :raises InvalidRequestError: if the file cannot be read, or its type is not one of those in :func:`label`.
    """
    return _has_c2pa(_read(data, media_type))


def _has_c2pa(file: Container) -> bool:
    if file.signed:
        return True
    packet = file.packet
    return packet is not None and xmp.names_remote_manifest(packet, file.kind.name)


def _read(data: bytes, media_type: str) -> Container:
    plain = media_type.partition(";")[0].strip().lower()
    if plain not in _READERS:
        raise refusal(repr(media_type), f"only {', '.join(_READERS)} can be")
    return _READERS[plain](data)
