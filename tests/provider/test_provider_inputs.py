"""Which files a task reads for whoever names them: nothing of the system, and only below an administrator's folders."""

from __future__ import annotations

import json
import os
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files.objects import input_path, read_up_to, size_of, storage_path
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, SubmitBodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator, CheckSwapOperator
from airflow_provider_segmind.transfers.object_storage import (
    ObjectStorageToSegmindOperator,
    SegmindToObjectStorageOperator,
)
from tests.provider.odd_host import PICTURE
from tests.provider.running import context
from tests.provider.s3 import s3_bucket
from tests.provider.test_provider_decorator import Tried

pytestmark = pytest.mark.filterwarnings("default")  # of boto and moto, which are not ours

SECRET = "hunter2-5ecret"


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what an administrator lets tasks read."""
    return lambda *roots: monkeypatch.setenv("AIRFLOW__SEGMIND__INPUT_ROOTS", ", ".join(map(str, roots)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a picture, beside one with another."""
    for name in ("in", "in2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(PICTURE)
    return tmp_path


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """Start a web server, and return its address and what it is asked for."""
    seen: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.send_error(404)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - as http.server names them

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", seen
        server.shutdown()


def readers(uri: str, emulator: Emulator, tmp_path: Path) -> dict[str, Any]:
    """Return a way to have each kind of task read a file, by the kind's name."""
    pair = {"character_image": uri, "reference_character_image": emulator.sample("person")}
    swap = {"id": "a", **pair}
    results = str(tmp_path / "results.jsonl")
    return {
        "single": lambda: SubmitBodySwapOperator(task_id="t", **pair).execute(context()),
        "batch": lambda: BodySwapBatchOperator(task_id="t", swaps=[swap], results_uri=results).execute(context()),
        "manifest": lambda: BodySwapBatchOperator(task_id="t", swaps=uri, results_uri=results).execute(context()),
        "decorator": lambda: Tried(lambda: pair).start(),
        "decorated list": lambda: Tried(lambda: [swap], results_uri=results).start(),
        "upload": lambda: ObjectStorageToSegmindOperator(task_id="t", source=uri).execute(context()),
        "sign": lambda: ObjectStorageToSegmindOperator(task_id="t", source=[uri], share="sign").execute(context()),
        "input check": lambda: CheckSwapInputOperator(task_id="t", **pair).execute(context()),
        "check": lambda: CheckSwapOperator(task_id="t", results={"uri": uri}, **pair).execute(context()),
        "checks": lambda: CheckSwapOperator(task_id="t", results={"results_uri": uri}).execute(context()),
        "storing": lambda: SegmindToObjectStorageOperator(
            task_id="t", results={"results_uri": uri}, destination=str(tmp_path)
        ).execute(context()),
    }


KINDS = (
    *("single", "batch", "manifest", "decorator", "decorated list", "upload", "sign", "input check", "check", "checks"),
    "storing",
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_task_reads_outside_of_the_folders_that_an_administrator_names(
    kind: str, emulator: Emulator, folder: Path, allow: Any
) -> None:
    allow(folder / "in")
    with pytest.raises(AirflowFailException, match=r"below no folder that \[segmind\] input_roots names"):
        readers(str(folder / "in2" / "a.png"), emulator, folder)[kind]()
    assert not emulator.charges
    assert not [request for request in emulator.requests if request.method == "POST"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_such_folders_no_task_reads_what_is_the_systems(kind: str, emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="in a folder of the system") as error:
        readers("/etc/passwd", emulator, tmp_path)[kind]()
    assert "root:" not in str(error.value)
    assert not emulator.charges


def test_what_is_below_a_named_folder_is_read(emulator: Emulator, folder: Path, allow: Any) -> None:
    (folder / "link").symlink_to(folder / "in")
    allow(folder / "link")
    for uri in (f"{folder}/in/a.png", f"file://{folder}/in/a.png", f"local://{folder}/link/a.png"):
        assert read_up_to(8, "source", uri) == PICTURE[:8]
        assert size_of("source", uri) == len(PICTURE)
    url = ObjectStorageToSegmindOperator(task_id="t", source=str(folder / "in" / "a.png")).execute(context())
    assert str(url).startswith(emulator.url)


@pytest.mark.parametrize(
    "uri",
    [
        "{0}/in/../in2/a.png",
        "{0}/in2/a.png",
        "file://{0}/in2/a.png",
        "file:{0}/in2/a.png",
        "/{0}/in2/a.png",
        "{0}/in/out/a.png",
        "{0}/in",
        "in2/a.png",
        "s3://bucket/a.png",
        "/etc/passwd",
    ],
)
def test_no_way_to_write_a_path_leads_out_of_a_folder(
    uri: str, folder: Path, allow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "in" / "out").symlink_to(folder / "in2")
    allow(folder / "in")
    with pytest.raises(InvalidRequestError, match="input_roots"):
        read_up_to(1, "source", uri.format(folder))


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "local:///etc/passwd",
        "/proc/self/environ",
        "/proc/self/cwd/../../etc/passwd",
        "/opt/../etc/passwd",
        "/dev/stdin",
        "/sys/kernel/notes",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/run/secrets/key",
        "link/passwd",
    ],
)
def test_no_way_to_write_a_path_leads_into_the_system(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(InvalidRequestError, match=r"folder of the system|cannot be read"):
        read_up_to(1, "source", uri)


def test_an_administrator_can_name_a_folder_of_the_system(allow: Any) -> None:
    allow("/etc")
    assert read_up_to(4, "source", "/etc/passwd") == b"root"


@pytest.mark.parametrize(
    ("uri", "may"),
    [
        ("s3://aws@catalogue/in/a.png", True),
        ("s3a://aws@catalogue/in/a.png", True),
        ("s3://aws@catalogue/in/a#1?b.png", True),
        ("s3://catalogue/in/a.png", False),
        ("s3://team_b@catalogue/in/a.png", False),
        ("s3://aws@catalogue/in2/a.png", False),
        ("s3://aws@catalogue/in", False),
        ("s3://aws@other/in/a.png", False),
        ("s3://aws@catalogue/in/../out/a.png", False),
        ("s3://aws@catalogue/in/%2e%2e/out/a.png", False),
        ("s3://aws@catalogue/in/..\\out/a.png", False),
        ("s3://a@b@catalogue/in/a.png", False),
        ("gs://aws@catalogue/in/a.png", False),
        ("/catalogue/in/a.png", False),
    ],
)
def test_a_folder_in_a_bucket_is_bound_to_its_connection(uri: str, may: bool, allow: Any) -> None:
    allow("s3://aws@catalogue/in/", "/srv/photographs")
    if may:
        assert input_path("source", uri).protocol in ("s3", "s3a")
        return
    with pytest.raises(InvalidRequestError, match="input_roots"):
        input_path("source", uri)


def test_a_whole_storage_can_be_named_and_is_read(
    emulator: Emulator, allow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_bucket(monkeypatch) as bucket:
        bucket.put_object(Key="a.png", Body=PICTURE)
        allow("s3://")
        url = ObjectStorageToSegmindOperator(task_id="t", source=f"s3://{bucket.name}/a.png").execute(context())
        assert str(url).startswith(emulator.url)
        with pytest.raises(InvalidRequestError, match="input_roots"):
            read_up_to(1, "source", f"s3://team_b@{bucket.name}/a.png")


def test_folders_that_mean_nothing_are_refused_and_not_overlooked(allow: Any) -> None:
    allow("/srv/photographs", "photographs")
    with pytest.raises(InvalidRequestError, match=r"\[segmind\] input_roots has 'photographs'"):
        read_up_to(1, "source", "/srv/photographs/a.png")


@pytest.mark.parametrize(
    "scheme", ["http", "https", "simplecache::http", "filecache::http", "webhdfs", "memory", "ftp"]
)
@pytest.mark.parametrize("what", [input_path, storage_path])
def test_a_storage_that_airflow_does_not_know_is_never_asked(
    what: Any, scheme: str, asked: tuple[str, list[str]]
) -> None:
    address, seen = asked
    with pytest.raises(InvalidRequestError, match="no storage that this Airflow knows"):
        what("source", f"{scheme}://user:{SECRET}@{address}/a.png?sig={SECRET}")
    assert seen == []


def test_a_destination_in_such_a_storage_is_refused(emulator: Emulator, asked: tuple[str, list[str]]) -> None:
    address, seen = asked
    pair = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    with pytest.raises(AirflowFailException, match="no storage that this Airflow knows"):
        BodySwapBatchOperator(task_id="t", swaps=[pair], results_uri=f"http://{address}/r.jsonl").execute(context())
    outputs = [{"keyname": "k", "type": "image", "url": emulator.sample("scene")}]
    task = SegmindToObjectStorageOperator(
        task_id="t", results={"request_id": "r", "outputs": outputs}, destination=f"simplecache::http://{address}/x"
    )
    with pytest.raises(AirflowFailException, match="no storage that this Airflow knows"):
        task.execute(context())
    assert seen == []
    assert not emulator.charges


def test_a_pipe_or_a_folder_is_no_file_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for uri in (str(tmp_path / "pipe"), str(tmp_path)):
        with pytest.raises(InvalidRequestError, match="it is no file"):
            read_up_to(1, "source", uri)


def test_a_link_that_takes_a_folders_place_is_not_followed(folder: Path, allow: Any) -> None:
    """The folder is swapped for a link, and back, all the time, as an attacker would who may write there."""
    allow(folder / "in")
    (folder / "in" / "day").mkdir()
    (folder / "in" / "day" / "a.png").write_bytes(b"own")
    (folder / "in2" / "a.png").write_bytes(b"foreign")
    (folder / "link").symlink_to(folder / "in2")
    day, over = folder / "in" / "day", threading.Event()

    def swap() -> None:
        while not over.is_set():
            day.rename(folder / "away")
            (folder / "link").rename(day)
            day.rename(folder / "link")
            (folder / "away").rename(day)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(500):
            try:
                seen.add(read_up_to(9, "source", f"{day}/a.png"))
            except InvalidRequestError:
                continue
    finally:
        over.set()
        swapping.join()
    assert seen <= {b"own"}


@pytest.mark.parametrize(
    "content", [f"{SECRET}\n", f'"{SECRET}"\n', f'["{SECRET}"]\n', f'{{"{SECRET}=": 1}}\n', f"a,{SECRET}\n"]
)
@pytest.mark.parametrize("name", ["shadow", "shadow.csv"])
@pytest.mark.parametrize("kind", ["single", "manifest", "upload", "input check", "checks", "storing"])
def test_no_error_quotes_what_is_in_a_file(
    kind: str, name: str, content: str, emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content * 3)
    try:
        said = json.dumps(readers(str(tmp_path / name), emulator, tmp_path)[kind]())
    except AirflowFailException as error:
        said = str(error)
        assert name in said or kind == "input check"
    assert SECRET not in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "uri",
    [
        "s3://no-such-bucket-anywhere/a.png?X-Amz-Signature=" + SECRET,
        f"s3://AKIA:{SECRET}@bucket/a.png",
        f"sftp://user:{SECRET}@host/a.png",
        f"webhdfs://user:{SECRET}@host/a.png?token={SECRET}",
    ],
)
def test_no_error_shows_a_password_or_a_signature(
    kind: str,
    uri: str,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with s3_bucket(monkeypatch), pytest.raises(AirflowFailException) as error:
        readers(uri, emulator, tmp_path)[kind]()
    assert uri.partition("://")[0] in str(error.value)
    # A task's log has the errors that led to it, too, and what Airflow says on its way.
    assert SECRET not in "".join(traceback.format_exception(error.value))
    assert SECRET not in capfd.readouterr().out


def test_the_lineage_of_a_failure_shows_no_signature_either(emulator: Emulator) -> None:
    task = SubmitBodySwapOperator(
        task_id="t",
        character_image=f"http://user:{SECRET}@pictures.example/a.png?sig={SECRET}",
        reference_character_image=emulator.sample("person"),
    )
    with pytest.raises(AirflowFailException) as error:
        task.execute(context())
    lineage = task.get_openlineage_facets_on_failure(None)
    assert "pictures.example" in lineage.run_facets["segmind_job"].error
    assert SECRET not in str(error.value) + json.dumps(lineage.run_facets["segmind_job"].error)
