"""Read and write one property of an XMP packet, and keep everything else that is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.provenance.refusal import refusal

MAX_PACKET = 4 * 1024 * 1024
"""Bytes of a packet that is parsed; what Photoshop writes for a long history is a tenth of it."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_TERMS = "http://purl.org/dc/terms/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_META = "adobe:ns:meta/"

_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'
_EMPTY = f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'

# Python before 3.13 writes these as they are where only a reference keeps them; noncharacters hold their places.
_FRAGILE = str.maketrans("\t\n\r", "\ufdd0\ufdd1\ufdd2")
_REFERENCES = str.maketrans({"\ufdd0": "&#9;", "\ufdd1": "&#10;", "\ufdd2": "&#13;"})

_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


def source_type_of(packet: bytes, kind: str) -> str | None:
    """
    Return the packet's ``Iptc4xmpExt:DigitalSourceType``, or ``None`` if it has none.

    :raises InvalidRequestError: when the packet cannot be parsed.
    """
    return _value(packet, kind, _IPTC, "DigitalSourceType")


def names_remote_manifest(packet: bytes, kind: str) -> bool:
    """
    Whether the packet points to a C2PA manifest that is kept elsewhere, which covers this file's bytes.

    The property is ``dcterms:provenance``, from C2PA's specification, "Embedding a reference to the active manifest".
    A packet that cannot be parsed points nowhere.
    """
    try:
        value = _value(packet, kind, _TERMS, "provenance")
    except InvalidRequestError:
        return False
    return value is not None and value.startswith(("http://", "https://"))


def with_source_type(packet: bytes | None, value: str, kind: str) -> bytes:
    """
    Return a packet in which the picture's digital source type is ``value``.

    :param packet: the packet that the picture has, whose other properties are kept, or ``None``.
    :param value: a URI of IPTC's vocabulary ``http://cv.iptc.org/newscodes/digitalsourcetype/``.
    :param kind: the picture's format, for messages.
    :raises InvalidRequestError: when the packet cannot be parsed.
    """
    try:
        document = _parse(_EMPTY.encode() if packet is None else packet, kind)
        rdf = _rdf_of(document, kind)
        about = ""
        for description in _descriptions(rdf):
            about = about or description.getAttributeNS(_RDF, "about")
            _remove(description)
        rdf.appendChild(_description(document, about, value))
        return f"{_BEGIN}{_text_of(document)}{_END}".encode()
    except RecursionError:
        raise refusal(kind, "its XMP packet is nested too deeply") from None


def _description(document: minidom.Document, about: str, value: str) -> minidom.Element:
    """Return an element that holds the property and declares its own prefixes, whatever others the packet uses."""
    description = document.createElementNS(_RDF, "rdf:Description")
    description.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
    description.setAttributeNS(_XMLNS, "xmlns:Iptc4xmpExt", _IPTC)
    # All descriptions of one packet must be about the same resource: XMP specification part 1, 7.4.
    description.setAttributeNS(_RDF, "rdf:about", about)
    source_type = document.createElementNS(_IPTC, "Iptc4xmpExt:DigitalSourceType")
    source_type.appendChild(document.createTextNode(value))
    description.appendChild(source_type)
    return description


def _remove(description: minidom.Element) -> None:
    """Take the property out of a description in both ways it can be written there."""
    if description.hasAttributeNS(_IPTC, "DigitalSourceType"):
        description.removeAttributeNS(_IPTC, "DigitalSourceType")
    for element in list(_elements(description, _IPTC, "DigitalSourceType")):
        description.removeChild(element)


def _value(packet: bytes, kind: str, namespace: str, name: str) -> str | None:
    """Return a simple property: an attribute, an element's text or its ``rdf:resource``."""
    try:
        for description in _descriptions(_rdf_of(_parse(packet, kind), kind)):
            if description.hasAttributeNS(namespace, name):
                return description.getAttributeNS(namespace, name)
            for element in _elements(description, namespace, name):
                text = "".join(node.data for node in element.childNodes if isinstance(node, minidom.Text)).strip()
                return text or element.getAttributeNS(_RDF, "resource")
    except RecursionError:
        raise refusal(kind, "its XMP packet is nested too deeply") from None
    return None


def _parse(packet: bytes, kind: str) -> minidom.Document:
    """Return the packet as a document in which prefixes, comments and other people's properties are kept."""
    if len(packet) > MAX_PACKET:
        raise refusal(kind, f"its XMP packet has {len(packet)} bytes, more than {MAX_PACKET}")
    try:
        text = packet.decode("utf-8").strip("\ufeff\0 \t\r\n")
    except UnicodeDecodeError:
        raise refusal(kind, "its XMP packet is not UTF-8") from None
    # Entities could make a small packet a very large one; XMP has none.
    if "<!DOCTYPE" in text:
        raise refusal(kind, "its XMP packet has a DOCTYPE, which XMP does not allow")
    # Another encoding named there would be believed, although the text is UTF-8.
    text = _DECLARATION.sub("", text, count=1) if text.startswith("<?xml ") else text
    try:
        return minidom.parseString(text.encode())  # noqa: S318 - no DOCTYPE, so no entities
    except (ExpatError, ValueError) as error:
        raise refusal(kind, f"its XMP packet is not well-formed XML ({error})") from error


def _rdf_of(document: minidom.Document, kind: str) -> minidom.Element:
    found = document.getElementsByTagNameNS(_RDF, "RDF")
    if not found:
        raise refusal(kind, "its XMP packet has no rdf:RDF")
    return found[0]


def _descriptions(rdf: minidom.Element) -> Iterator[minidom.Element]:
    return _elements(rdf, _RDF, "Description")


def _elements(parent: minidom.Element, namespace: str, name: str) -> Iterator[minidom.Element]:
    for node in parent.childNodes:
        if isinstance(node, minidom.Element) and (node.namespaceURI, node.localName) == (namespace, name):
            yield node


def _text_of(document: minidom.Document) -> str:
    """Return the document without the wrapper that is written anew."""
    for element in document.getElementsByTagName("*"):
        for attribute in element.attributes.values():
            attribute.value = attribute.value.translate(_FRAGILE)
        for node in element.childNodes:
            if isinstance(node, minidom.Text) and "\r" in node.data:
                node.data = node.data.replace("\r", "\ufdd2")
    text = "".join(
        node.toxml()
        for node in document.childNodes
        if not (isinstance(node, minidom.ProcessingInstruction) and node.target == "xpacket")
    )
    return text.translate(_REFERENCES)
