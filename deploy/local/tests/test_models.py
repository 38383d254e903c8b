"""Models on the command line; an HTTP server of the test's own is where they come from."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from imagesystem.models import ModelFile, ModelSpec, Shelf, catalogue, check, parse
from imagesystem.models.specs import KINDS, BadModel
from local_stack import cli, model_downloads, models
from local_stack.errors import StackError
from typer.testing import CliRunner

from services.inference.tests import onnx_models

pytestmark = pytest.mark.integration
COMMANDS = CliRunner()
BODY = onnx_models.classifier(3)
#: Large enough for several pieces.
LARGE = bytes(range(256)) * 8192


class Host(ThreadingHTTPServer):
    """A place that models come from; `heard`: path and Range of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.bodies: dict[str, bytes] = {}
        self.heard: list[tuple[str, str]] = []
        #: Bytes after which the connection breaks, once for each path.
        self.breaks: dict[str, int] = {}
        #: Bytes after which nothing more comes, once for each path, until `going` is set.
        self.stalls: dict[str, int] = {}
        self.going = threading.Event()
        self.ranges = True

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Answer(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.heard.append((self.path, asked))
        if self.path.startswith("/round"):
            self._end(302, {"Location": self.path})
            return
        if self.path.startswith("/moved"):
            self._end(302, {"Location": self.path.removeprefix("/moved")})
            return
        body = self.server.bodies.get(self.path)
        if body is None:
            self._end(404, {"Content-Length": "0"})
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if asked and self.server.ranges:
            if start >= len(body):
                self._end(416, {"Content-Length": "0"})
                return
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self._end(206, {"Content-Range": span, "Content-Length": str(len(body) - start)})
        else:
            start = 0
            self._end(200, {"Content-Length": str(len(body))})
        until = self.server.breaks.pop(self.path, len(body))
        stall = self.server.stalls.pop(self.path, None)
        if stall is not None:
            self.wfile.write(body[start:stall])
            self.server.going.wait(60)
            return
        self.wfile.write(body[start:until])
        if until < len(body):
            self.close_connection = True

    def _end(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "models")


def spec_of(url: str, body: bytes = LARGE, *, size: int = 0) -> ModelSpec:
    digest = hashlib.sha256(body).hexdigest()
    return ModelSpec(
        name="made",
        kind="classifier",
        tasks=("labels",),
        licence="MIT",
        classes=("a", "b", "c"),
        files=(ModelFile(role="image", name="m.onnx", sha256=digest, url=url, bytes=size),),
    )


def pull(shelf: Shelf, spec: ModelSpec) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    model_downloads.pull(shelf, spec, lambda _, have, total: told.append((have, total)))
    return told


def installed(shelf: Shelf, spec: ModelSpec) -> bytes:
    return shelf.path(shelf.model(spec.name), spec.files[0]).read_bytes()


def test_a_model_is_downloaded_with_its_progress(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    spec = spec_of(host.url("/m"), size=len(LARGE))
    told = pull(shelf, spec)
    assert installed(shelf, spec) == LARGE
    assert shelf.model("made") == spec
    assert told[-1] == (len(LARGE), len(LARGE))
    assert [have for have, _ in told] == sorted(have for have, _ in told)


def test_what_broke_off_goes_on_where_it_was(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    host.breaks["/m"] = 300_000
    spec = spec_of(host.url("/m"))
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE
    (_, first), (_, second) = host.heard
    assert first == ""
    assert second == "bytes=300000-"  # what came was not asked for again


def test_a_later_try_goes_on_too(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    spec = spec_of(host.url("/m"))
    shelf.unfinished(spec.files[0]).write_bytes(LARGE[:1000])
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE
    assert host.heard == [("/m", "bytes=1000-")]


KILLED = """
import sys
from pathlib import Path
import msgspec
from imagesystem.models import ModelSpec, Shelf
from local_stack import model_downloads
spec = msgspec.json.decode(sys.argv[2], type=ModelSpec)
model_downloads.pull(Shelf(Path(sys.argv[1])), spec, lambda *_: None)
"""


def test_a_download_that_is_killed_goes_on_where_it_was(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    host.stalls["/m"] = half = len(LARGE) // 2
    spec = spec_of(host.url("/m"))
    there = shelf.unfinished(spec.files[0])
    told = msgspec.json.encode(spec).decode()
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(shelf.folder), told])
    deadline = time.monotonic() + 60
    while not there.exists() or there.stat().st_size < half // 2:
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)
    process.kill()
    process.wait()
    host.going.set()
    left = there.stat().st_size
    assert shelf.models() == {}
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE
    assert host.heard == [("/m", ""), ("/m", f"bytes={left}-")]


def test_a_host_without_ranges_is_asked_for_all_again(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"], host.ranges = LARGE, False
    spec = spec_of(host.url("/m"))
    shelf.unfinished(spec.files[0]).write_bytes(LARGE[:1000])
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE


def test_what_is_all_there_is_not_downloaded_again(host: Host, shelf: Shelf) -> None:
    spec = spec_of(host.url("/m"))
    shelf.unfinished(spec.files[0]).write_bytes(LARGE)
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE
    assert host.heard == []


def test_a_wrong_digest_installs_nothing(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = b"something else"
    spec = spec_of(host.url("/m"))
    with pytest.raises(StackError, match=r"SHA-256 is [0-9a-f]{64}, not .*nothing was installed"):
        pull(shelf, spec)
    assert shelf.models() == {}
    assert not shelf.unfinished(spec.files[0]).exists()  # it would never become right


def test_what_stays_truncated_is_told_and_kept(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    spec = spec_of(host.url("/m"))

    class Tired(dict[str, int]):
        """The connection breaks each time before anything new comes."""

        def pop(self, key: str, *_: object) -> int:  # type: ignore[override]
            return 1000

    host.breaks = Tired()
    with pytest.raises(StackError, match=r"cannot be downloaded .* try again later"):
        pull(shelf, spec)
    assert shelf.models() == {}
    assert shelf.unfinished(spec.files[0]).read_bytes() == LARGE[:1000]


def test_more_than_there_should_be_is_not_written_for_ever(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    with pytest.raises(StackError, match="has more than the 1000 bytes"):
        pull(shelf, spec_of(host.url("/m"), size=1000))
    assert shelf.models() == {}


@pytest.mark.parametrize(
    ("path", "told"), [("/none", "answers 404"), ("/round", "too many redirects")]
)
def test_what_is_not_there_is_told_with_its_address(
    host: Host, shelf: Shelf, path: str, told: str
) -> None:
    with pytest.raises(StackError, match=f"made: http://.*{path}.*{told}"):
        pull(shelf, spec_of(host.url(path)))


def test_a_host_that_is_not_there_is_told(shelf: Shelf) -> None:
    with pytest.raises(StackError, match="cannot be downloaded"):
        pull(shelf, spec_of("http://127.0.0.1:1/m"))


def test_redirects_are_followed(host: Host, shelf: Shelf) -> None:
    host.bodies["/m"] = LARGE
    spec = spec_of(host.url("/moved/m"))
    pull(shelf, spec)
    assert installed(shelf, spec) == LARGE


# -- the list


def test_the_list_names_permissive_licences_and_a_digest_for_each_file() -> None:
    for spec in catalogue().values():
        assert spec.licence in {"MIT", "Apache-2.0", "BSD-3-Clause"}, spec.name
        assert spec.source.startswith("https://")
        assert all(file.url.startswith("https://") for file in spec.files)
        assert spec.kind != "yolov8"  # its own weights are AGPL
    assert {task for spec in catalogue().values() for task in spec.tasks} == {
        "objects",
        "faces",
        "labels",
        "embedding",
        "text",
    }
    assert all(spec.languages for spec in catalogue().values() if spec.tasks == ("text",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[model]]\nname = 1", "model"),
        ("[[model]]\nwhat = 1", "what"),
        ("[[", "TOML|Invalid|Expected|unclosed|invalid|value"),
    ],
)
def test_a_list_that_cannot_be_read_is_told(text: str, told: str) -> None:
    with pytest.raises(BadModel, match=told):
        parse(text.encode(), "models.toml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "../up"}, "is no name"),
        ({"kind": "yolo"}, "is no kind; there are: yolox, yolov8"),
        ({"tasks": ("faces",)}, "answers labels, not faces"),
        ({"tasks": ()}, "not nothing"),
        ({"classes": ()}, "needs the names of its classes"),
        ({"classes": "coco-81"}, "no list of classes 'coco-81'"),
        ({"files": ()}, "needs a file for: image"),
        ({"prompt": "a photo"}, "prompt"),
    ],
)
def test_a_model_that_makes_no_sense_is_told(changes: dict[str, object], told: str) -> None:
    values = {field: getattr(spec_of("u"), field) for field in spec_of("u").__struct_fields__}
    with pytest.raises(BadModel, match=told):
        check(ModelSpec(**{**values, **changes}))  # type: ignore[arg-type]


def test_what_changes_answers_changes_the_fingerprint() -> None:
    spec = spec_of("u")
    other = ModelSpec(
        name="other",
        kind=spec.kind,
        tasks=spec.tasks,
        licence="Apache-2.0",
        classes=spec.classes,
        files=spec.files,
    )
    assert other.fingerprint == spec.fingerprint
    for changes in ({"classes": ("a", "c", "b")}, {"activation": "sigmoid"}):
        values = {field: getattr(spec, field) for field in spec.__struct_fields__}
        assert ModelSpec(**{**values, **changes}).fingerprint != spec.fingerprint


# -- the commands


def command(*arguments: str, shelf: Shelf) -> str:
    done = COMMANDS.invoke(cli.app, ["models", *arguments, "--models-dir", str(shelf.folder)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model of one's own, and the names of its classes."""
    path = tmp_path / "Mine.onnx"
    path.write_bytes(BODY)
    (tmp_path / "names.txt").write_text("red\ngreen\n\nblue\n")
    return path


def test_a_model_of_ones_own_is_added_used_and_removed(shelf: Shelf, own: Path) -> None:
    names = str(own.parent / "names.txt")
    told = command("add", str(own), "--kind", "classifier", "--classes", names, shelf=shelf)
    assert "mine is here: `image-system models use labels mine`" in told
    spec = shelf.model("mine")
    assert spec.classes == ("red", "green", "blue")
    assert spec.files[0].sha256 == hashlib.sha256(BODY).hexdigest()
    assert own.read_bytes() == BODY  # it was copied

    assert "labels is answered by mine" in command("use", "labels", "mine", shelf=shelf)
    assert shelf.in_use() == {"labels": "mine"}
    (row,) = [
        row for row in json.loads(command("list", "--json", shelf=shelf)) if row["name"] == "mine"
    ]
    assert (row["installed"], row["used"], row["licence"]) == (True, ["labels"], "unknown")
    assert "yunet" in command("list", shelf=shelf)

    with pytest.raises(StackError, match="mine answers labels: have another model do it first"):
        command("remove", "mine", shelf=shelf)
    command("use", "labels", "built-in", shelf=shelf)
    assert shelf.in_use() == {}
    command("remove", "mine", shelf=shelf)
    assert shelf.models() == {}


def test_a_folder_with_a_description_is_added(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    folder.mkdir()
    (folder / "image.onnx").write_bytes(onnx_models.encoder())
    (folder / "text.onnx").write_bytes(onnx_models.text_encoder())
    (folder / "tokenizer.json").write_bytes(onnx_models.tokenizer())
    (folder / "model.toml").write_text(
        """
        name = "pair"
        kind = "clip"
        tasks = ["embedding", "labels"]
        licence = "MIT"
        classes = ["red", "blue"]
        prompt = "{}"
        [files]
        image = "image.onnx"
        text = "text.onnx"
        tokenizer = "tokenizer.json"
        """
    )
    command("add", str(folder), shelf=shelf)
    assert {file.role for file in shelf.model("pair").files} == {"image", "text", "tokenizer"}
    command("use", "embedding", "pair", shelf=shelf)
    command("use", "labels", "pair", shelf=shelf)


def test_a_reader_of_another_language_is_added_with_its_characters(
    shelf: Shelf, tmp_path: Path
) -> None:
    path, characters = tmp_path / "reader.onnx", tmp_path / "characters.txt"
    path.write_bytes(onnx_models.line_reader(told=False))
    with pytest.raises(StackError, match="does not say which characters it reads"):
        command("add", str(path), "--kind", "ppocr", shelf=shelf)
    assert shelf.models() == {}  # what cannot be used is not kept
    characters.write_text("\u3131\n\u3132\n\u3133\n", encoding="utf-8")
    more = ("--characters", str(characters), "--language", "ko", "--language", "en")
    command("add", str(path), "--kind", "ppocr", *more, shelf=shelf)
    assert shelf.model("reader").languages == ("ko", "en")
    shelf.use("text", "reader")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "{own}"), "say what it is with --kind: yolox"),
        (("add", "{own}", "--kind", "classifier"), "needs the names of its classes"),
        (("add", "{own}", "--kind", "yolox", "--classes", "coco-80"), "a yolox says"),
        (("add", "{own}x"), "there is no"),
        (("add", "{folder}"), "has no model.toml"),
        (("pull", "yolov8"), "there is no model 'yolov8'; there are: yunet"),
        (("use", "objects", "yolox-s"), "there is no model 'yolox-s' in"),
        (("use", "smells", "yunet"), "there is no task 'smells'"),
        (("remove", "../etc"), "there is no model"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    shelf: Shelf, own: Path, arguments: tuple[str, ...], told: str
) -> None:
    folder = own.parent / "empty"
    folder.mkdir()
    given = [word.format(own=own, folder=folder) for word in arguments]
    with pytest.raises(StackError, match=told) as raised:
        command(*given, shelf=shelf)
    assert "\n" not in str(raised.value)
    assert shelf.in_use() == {}
    assert shelf.models() == {}


def test_a_model_that_was_changed_is_not_chosen(shelf: Shelf, own: Path) -> None:
    names = str(own.parent / "names.txt")
    command("add", str(own), "--kind", "classifier", "--classes", names, shelf=shelf)
    (shelf.folder / "mine" / "Mine.onnx").write_bytes(BODY + b"\0")
    with pytest.raises(StackError, match="is not what it was"):
        command("use", "labels", "mine", shelf=shelf)
    assert shelf.in_use() == {}


def test_a_model_of_the_list_may_come_from_elsewhere_if_it_is_the_same(
    host: Host, shelf: Shelf
) -> None:
    host.bodies["/y"] = b"no yunet"
    with pytest.raises(StackError, match="nothing was installed"):
        command("pull", "yunet", "--url", host.url("/y"), shelf=shelf)
    with pytest.raises(StackError, match="clip-vit-b32 has 3 files"):
        command("pull", "clip-vit-b32", "--url", host.url("/y"), shelf=shelf)


def test_every_kind_says_what_it_answers() -> None:
    assert all(kind.tasks and kind.description for kind in KINDS.values())
    assert models.BUILT_IN not in catalogue()
