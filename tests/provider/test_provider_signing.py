"""An administrator says with which certificate pictures are signed, and is told what is wrong with it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.provenance.signing import verify
from airflow_provider_segmind.storage.signing import signer
from tests.provenance.drawn import picture, saved
from tests.provenance.issued import issued

PHOTO = saved(picture(), "PNG")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_bytes(issued().certificate)
    key.write_bytes(issued().key)
    return certificate, key


def configure(monkeypatch: pytest.MonkeyPatch, **options: object) -> None:
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__SEGMIND__SIGNING_{name.upper()}", str(value))


def test_nothing_configured_signs_nothing() -> None:
    assert signer() is None


def test_pictures_are_signed_with_what_the_paths_name(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, certificate=files[0], key=files[1])
    made = signer()
    assert made is not None
    signature = verify(made.sign(PHOTO, PHOTO), anchors=issued().anchor)
    assert signature is not None
    assert (signature.state, signature.ingredients) == ("Trusted", ("source",))


def test_the_pem_itself_is_taken_as_a_secrets_backend_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, certificate=issued().certificate.decode(), key=issued().key.decode())
    made = signer()
    assert made is not None
    assert verify(made.sign(PHOTO)) is not None
    assert "PRIVATE" not in repr(made)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": None}, r"\[segmind\] signing_key is not set"),
        ({"certificate": None}, r"\[segmind\] signing_certificate is not set"),
        ({"certificate": "nowhere.pem"}, r"\[segmind\] signing_certificate: 'nowhere.pem' cannot be read"),
        ({"key": "MIGHAgEAMBMGByqGSM49"}, r"\[segmind\] signing_key: its value cannot be read as a file"),
        ({"algorithm": "rs256"}, r"\[segmind\] signing_certificate, .* cannot be used: .*'rs256'"),
        ({"time_stamp_url": "ftp://stamp"}, r"\[segmind\] signing_time_stamp_url is 'ftp://stamp'"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, options: dict[str, str | None], words: str
) -> None:
    given: dict[str, object] = {"certificate": files[0], "key": files[1], **options}
    configure(monkeypatch, **{name: value for name, value in given.items() if value is not None})
    with pytest.raises(InvalidRequestError, match=words) as caught:
        signer()
    assert "MIGH" not in str(caught.value)


def test_the_key_is_masked_in_logs(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.secrets_masker import redact  # in airflow.sdk.log only after Airflow 3.1.0

    configure(monkeypatch, certificate=files[0], key=files[1])
    signer()
    logging.getLogger(__name__).info("nothing is logged of it either")
    assert "PRIVATE KEY" not in str(redact(f"the key is {issued().key.decode()}"))
