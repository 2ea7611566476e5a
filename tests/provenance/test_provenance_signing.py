"""A signed picture can be told from a changed one, and whose signature it is, without the network."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image

from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.provenance.containers import Jpeg
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, has_c2pa, source_type
from airflow_provider_segmind.provenance.signing import ALGORITHMS, sign, verify
from tests.provenance.drawn import JPEG, picture, pictures, saved
from tests.provenance.issued import Issued, issued

NAMED = [pytest.param(*file, id=name) for name, file in pictures().items()]
PHOTO = saved(picture(size=(64, 48)), "JPEG")
MISMATCH = "assertion.dataHash.mismatch"


def signed(data: bytes, by: Issued | None = None, **more: object) -> bytes:
    by = by or issued()
    return sign(data, certificate=by.certificate, key=by.key, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_a_signed_picture_is_valid_labelled_and_says_what_was_done(data: bytes, media_type: str) -> None:
    done = signed(data, source=PHOTO, source_title="scene.jpg")
    signature = verify(done)
    assert signature is not None
    assert signature.state == "Valid"
    assert signature.codes == ("signingCredential.untrusted",)
    assert signature.issuer == "Example Photos"
    assert signature.source_type == AI_COMPOSITE
    assert signature.ingredients == ("scene.jpg",)
    assert signature.signed_at is None
    assert source_type(done, media_type) == AI_COMPOSITE
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(done)) as after:
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_a_picture_without_a_source_can_be_signed_too_and_stays_small(data: bytes, media_type: str) -> None:
    done = signed(data)
    signature = verify(done)
    assert signature is not None
    assert (signature.state, signature.source_type, signature.ingredients) == ("Valid", AI_COMPOSITE, ())
    assert 0 < len(done) - len(data) < 10_000


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_an_unsigned_picture_has_no_signature(data: bytes, media_type: str) -> None:
    assert verify(data) is None


def test_it_is_trusted_only_with_the_anchor_of_its_own_authority() -> None:
    done, other = signed(PHOTO), issued("Somebody Else")
    trusted, untrusted = verify(done, anchors=issued().anchor), verify(done, anchors=other.anchor)
    assert trusted is not None
    assert (trusted.state, trusted.codes) == ("Trusted", ())
    assert untrusted is not None
    assert (untrusted.state, untrusted.codes) == ("Valid", ("signingCredential.untrusted",))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp, lossy", "webp, lossless"])
def test_a_changed_byte_of_the_picture_is_found(name: str) -> None:
    done = bytearray(signed(pictures()[name][0]))
    pixels = {"jpeg": b"\xff\xda", "png": b"IDAT"}.get(name, b"VP8")
    done[done.rindex(pixels) + 20] ^= 1
    signature = verify(bytes(done), anchors=issued().anchor)
    assert signature is not None
    assert signature.state == "Invalid"
    assert MISMATCH in signature.codes


@pytest.mark.parametrize("name", ["jpeg", "png", "webp, lossy"])
@pytest.mark.parametrize(
    ("near", "code"),
    [(b"Iptc4xmpExt:DigitalSourceType", MISMATCH), (b"digitalSourceType", "assertion.hashedURI.mismatch")],
    ids=["in the XMP", "in the manifest"],
)
def test_a_changed_label_is_found(name: str, near: bytes, code: str) -> None:
    done = signed(pictures()[name][0])
    at = done.index(b"/compositeWithTrained", done.index(near)) + 1
    signature = verify(done[:at] + b"C" + done[at + 1 :])
    assert signature is not None
    assert signature.state == "Invalid"
    assert code in signature.codes


@pytest.mark.parametrize("name", ["jpeg", "png", "webp, lossy"])
def test_the_manifest_that_a_picture_came_with_stays_in_it(name: str) -> None:
    service = issued("The Service")
    came = signed(pictures()[name][0], service, title="from the service")
    done = signed(came, title="published", source=PHOTO, source_title="scene.jpg")
    signature = verify(done, anchors=issued().anchor + service.anchor)
    assert signature is not None
    assert (signature.state, signature.issuer) == ("Trusted", "Example Photos")
    assert signature.ingredients == ("published", "scene.jpg")
    assert b"The Service" in done
    assert b"from the service" in done


def test_signing_a_picture_that_was_changed_after_its_first_signature_does_not_make_that_whole() -> None:
    came = bytearray(signed(PHOTO, issued("The Service")))
    came[-20] ^= 1
    done = signed(bytes(came))
    assert MISMATCH.encode() in done


class _Listening(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_error(500)

    do_GET = do_POST  # noqa: N815 - the names that the server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Listening)
    running.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def _naming_a_manifest_at(url: str) -> bytes:
    return Jpeg(PHOTO).with_packet(
        f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
        <rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{url}"/>
        </rdf:RDF></x:xmpmeta>""".encode()
    )


def test_a_manifest_that_is_kept_elsewhere_is_not_fetched(server: ThreadingHTTPServer) -> None:
    """Whoever made a picture could else have this machine ask any address."""
    remote = _naming_a_manifest_at(f"http://127.0.0.1:{server.server_port}/manifest")
    assert has_c2pa(remote, JPEG)
    with pytest.raises(InvalidRequestError, match=r"manifest of the picture cannot be read: Remote"):
        verify(remote)
    signature = verify(signed(remote))
    assert signature is not None
    assert signature.state == "Valid"
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_time_stamp_authority_is_asked_and_one_that_fails_can_be_asked_again(server: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}/stamp"
    with pytest.raises(TransportError, match=r"/stamp gave no time stamp, so the picture is not signed") as caught:
        signed(PHOTO, time_stamp_url=url)
    assert caught.value.retryable
    assert server.asked == ["/stamp"]  # type: ignore[attr-defined]


def test_a_key_of_another_certificate_is_named_and_never_shown() -> None:
    with pytest.raises(InvalidRequestError, match=r"does not belong .*'CN=signer,O=Example Photos'") as caught:
        sign(PHOTO, certificate=issued().certificate, key=issued("Somebody Else").key)
    _shows_no_key(caught.value, issued("Somebody Else").key)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "rs256"}, r"algorithm is 'rs256': it must be one of es256,"),
        ({"algorithm": "es384"}, r"'es384' does not fit the key, which is of \w+ secp256r1"),
        ({"algorithm": "ps256"}, r"'ps256' does not fit the key"),
        ({"algorithm": "ed25519"}, r"'ed25519' does not fit the key"),
        ({"certificate": b"no PEM"}, r"is no chain of PEM certificates"),
        ({"key": b"no PEM"}, r"is no private key in PEM without a passphrase"),
    ],
)
def test_what_cannot_be_used_to_sign_is_named(changes: dict[str, object], words: str) -> None:
    given = {"certificate": issued().certificate, "key": issued().key, **changes}
    with pytest.raises(InvalidRequestError, match=words) as caught:
        sign(PHOTO, **given)  # type: ignore[arg-type]
    _shows_no_key(caught.value, issued().key)


def test_a_half_key_is_not_shown_either() -> None:
    half = issued().key[:120]
    with pytest.raises(InvalidRequestError, match=r"no private key in PEM") as caught:
        sign(PHOTO, certificate=issued().certificate, key=half)
    _shows_no_key(caught.value, half)


def test_an_authoritys_own_certificate_cannot_sign_pictures() -> None:
    authority = issued("Example Photos", own_authority=True)
    with pytest.raises(InvalidRequestError, match=r"could not be signed: .*[Cc]ertificate"):
        signed(PHOTO, authority)


@pytest.mark.parametrize("what", ["picture", "source"])
def test_what_is_no_picture_is_named(what: str) -> None:
    page = b"<html>not a picture</html>"
    with pytest.raises(InvalidRequestError, match=f"The {what} begins with b'<html>not a ', and only JPEG"):
        signed(page) if what == "picture" else signed(PHOTO, source=page)


def test_every_algorithm_is_known_to_the_library() -> None:
    import c2pa

    assert {algorithm.name.lower() for algorithm in c2pa.C2paSigningAlg} == set(ALGORITHMS)


def test_without_the_extra_it_says_what_to_install_and_who(tmp_path: object) -> None:
    code = (
        "import sys; sys.modules['c2pa'] = None\n"
        "from airflow_provider_segmind.provenance.signing import sign\n"
        "try: sign(b'', certificate=b'', key=b'')\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("InvalidRequestError ")
    assert "Ask your Airflow administrator to run pip install 'airflow-provider-segmind[provenance]'" in done.stdout


def _shows_no_key(error: BaseException, key: bytes) -> None:
    lines = [line for line in key.decode().splitlines() if line and not line.startswith("-----")]
    assert lines
    shown = f"{error} {error!r} {error.__cause__!r}"
    assert [line for line in lines if line in shown] == []
