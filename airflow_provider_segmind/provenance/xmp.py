"""Read and write one property of an untrusted XMP packet, in one pass without a tree; keep every other byte."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.provenance.containers import MAX_PACKET, refusal

_MAX_DEPTH = 500

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SOURCE_TYPE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ DigitalSourceType"
_MANIFEST = "http://purl.org/dc/terms/ provenance"

_BEGIN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = b'\n<?xpacket end="w"?>'
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'.encode()

_DECLARATION = re.compile(rb"<\?xml\s[^>]*\?>")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_TAG = re.compile(rb"""<([^\s/>]+)(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")


def source_type_of(packet: bytes, kind: str) -> str | None:
    """Return the packet's ``Iptc4xmpExt:DigitalSourceType``, or ``None``; raise if the packet cannot be read."""
    return _Packet(packet, kind).values.get(_SOURCE_TYPE)


def names_remote_manifest(packet: bytes, kind: str) -> bool:
    """Whether the packet names a remote C2PA manifest, which covers this file's bytes; ``False`` if unreadable."""
    # C2PA specification, "Embedding a reference to the active manifest": the property is dcterms:provenance.
    try:
        return _Packet(packet, kind).values.get(_MANIFEST, "").startswith(("http://", "https://"))
    except InvalidRequestError:
        return False


def with_source_type(packet: bytes | None, value: str, kind: str) -> bytes:
    """Return a packet, or a new one, in which the digital source type is ``value``; raise if it cannot be read."""
    found = _Packet(_EMPTY if packet is None else packet, kind)
    # It declares its own prefixes, whatever others the packet uses. All descriptions of a packet must be about the same
    # resource: XMP specification part 1, 7.4.
    description = (
        f'<rdf:Description xmlns:rdf="{_RDF}" xmlns:Iptc4xmpExt="{_SOURCE_TYPE.partition(" ")[0]}" '
        f"rdf:about={quoteattr(found.about)}><Iptc4xmpExt:DigitalSourceType>{escape(value)}"
        "</Iptc4xmpExt:DigitalSourceType></rdf:Description>"
    )
    return b"".join((_BEGIN, found.changed(description.encode()), _END))


class _Packet:
    """The parsed properties of a packet, and their positions; raises if it cannot be read."""

    def __init__(self, packet: bytes, kind: str) -> None:
        self.values: dict[str, str] = {}
        self.about = ""
        self._text = _checked(packet, kind)
        self._kind = kind
        self._cuts: list[tuple[int, int]] = []
        self._room: tuple[int, int, bytes, bytes] | None = None
        """Place of the new description: start and end of the replaced text, and the text before and after it."""
        self._depth = self._rdf = self._description = 0
        self._property: _Property | None = None
        parser = self._parser = expat.ParserCreate("UTF-8", " ")
        parser.namespace_prefixes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._stop
        parser.ProcessingInstructionHandler = self._instruct
        try:
            parser.Parse(self._text, True)
        except expat.ExpatError as error:
            raise refusal(kind, f"its XMP packet is not well-formed XML ({error})") from error
        finally:
            del self._parser  # breaks the reference cycle
        if self._room is None:
            raise refusal(kind, "its XMP packet has no rdf:RDF")

    def changed(self, description: bytes) -> bytes:
        """Return the text without wrapper and digital source types, and with one more description."""
        start, end, before, after = self._room or (0, 0, b"", b"")
        edits = [(*cut, b"") for cut in self._cuts] + [(start, end, before + description + after)]
        parts, position = [], 0
        for start, end, text in sorted(edits):
            parts += [self._text[position:start], text]
            position = end
        return b"".join((*parts, self._text[position:])).strip()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise refusal(self._kind, "its XMP packet is nested too deeply")
        plain = _plain(name)
        if plain == f"{_RDF} RDF" and not self._rdf and self._room is None:
            self._rdf = self._depth
            written, empty, end = self._tag()
            if empty:
                self._room = (end - 2, end, b">", b"</" + written + b">")
        elif self._rdf and self._depth == self._rdf + 1 and plain == f"{_RDF} Description":
            self._description = self._depth
            self._describe(attributes)
        elif self._description and self._depth == self._description + 1 and plain in (_SOURCE_TYPE, _MANIFEST):
            resource = next((value for key, value in attributes.items() if _plain(key) == f"{_RDF} resource"), "")
            _, empty, end = self._tag()
            self._property = _Property(self._depth, plain, self._parser.CurrentByteIndex, end if empty else 0, resource)
            self._parser.CharacterDataHandler = self._read

    def _describe(self, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            plain = _plain(name)
            if plain == f"{_RDF} about":
                self.about = self.about or value
            elif plain in (_SOURCE_TYPE, _MANIFEST):
                self.values.setdefault(plain, value)
            if plain == _SOURCE_TYPE:
                _, local, prefix = name.split(" ")
                _, _, end = self._tag()
                found = _ATTRIBUTE.finditer(self._text, self._parser.CurrentByteIndex, end)
                self._cuts += [one.span() for one in found if one[1] == f"{prefix}:{local}".encode()]

    def _read(self, text: str) -> None:
        if self._property and self._depth == self._property.depth:
            self._property.texts.append(text)

    def _stop(self, _: str) -> None:
        found = self._property
        if found and self._depth == found.depth:
            self.values.setdefault(found.name, "".join(found.texts).strip() or found.resource)
            if found.name == _SOURCE_TYPE:
                end = found.end or self._text.index(b">", self._parser.CurrentByteIndex) + 1
                self._cuts.append((found.start, end))
            self._property = self._parser.CharacterDataHandler = None
        elif self._depth == self._description:
            self._description = 0
        elif self._depth == self._rdf:
            self._rdf, place = 0, self._parser.CurrentByteIndex
            self._room = self._room or (place, place, b"", b"")
        self._depth -= 1

    def _tag(self) -> tuple[bytes, bool, int]:
        """Return the name of the tag that begins here, whether its element is empty, and the tag's end."""
        tag = _TAG.match(self._text, self._parser.CurrentByteIndex)
        if tag is None:
            raise refusal(self._kind, "its XMP packet has a tag that cannot be read")
        return tag[1], tag[2] == b"/", tag.end()

    def _instruct(self, target: str, _: str) -> None:
        if target == "xpacket" and self._depth == 0:
            start = self._parser.CurrentByteIndex
            self._cuts.append((start, self._text.index(b"?>", start) + 2))


@dataclass
class _Property:
    """An element that is being read; ``end`` is 0 until known."""

    depth: int
    name: str
    start: int
    end: int
    resource: str
    texts: list[str] = field(default_factory=list)


def _plain(name: str) -> str:
    """Return namespace and name, without the prefix."""
    return " ".join(name.split(" ")[:2])


def _checked(packet: bytes, kind: str) -> bytes:
    """Return the packet's text as UTF-8 that is safe to parse."""
    if len(packet) > MAX_PACKET:
        raise refusal(kind, f"its XMP packet has {len(packet)} bytes, more than {MAX_PACKET}")
    try:
        text = packet.decode("utf-8").strip("\ufeff\0 \t\r\n").encode()
    except UnicodeDecodeError:
        raise refusal(kind, "its XMP packet is not UTF-8") from None
    # Entities could expand a small packet enormously; XMP has none.
    if b"<!DOCTYPE" in text:
        raise refusal(kind, "its XMP packet has a DOCTYPE, which XMP does not allow")
    # Other readers would believe a declared encoding, although the text is UTF-8.
    declared = _DECLARATION.match(text)
    return text[declared.end() :].lstrip() if declared else text
