"""What is done with Apple's compiler, with an executable in its place: there is no Mac here."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from tests.fakes.tiny_whisper import tiny_checkpoint

from projectone.errors import ConversionError
from projectone.server.cli import main
from projectone.server.conversion.coreml.compiling import compile_folder, find_compiler
from projectone.server.conversion.coreml.contract import MANIFEST, contracts_of
from projectone.speech.checkpoint import save_settings
from projectone.storage.files import digest_of

# Reads what it should say of a model from beside itself; `fault` there changes what it does.
COMPILER = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
fault = (here / "fault").read_text()
with (here / "calls").open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:] == ["--find", "coremlcompiler"]:
    sys.exit(72 if fault == "no-compiler" else 0)
if sys.argv[1:] == ["coremlcompiler", "version"]:
    print("3405.2.1")
    sys.exit()
assert sys.argv[1:3] == ["coremlcompiler", "compile"], sys.argv
package, folder = map(pathlib.Path, sys.argv[3:])
if fault == "refuses":
    sys.exit("coremlcompiler: error: unable to parse ML Program")
if fault == "silent":
    sys.exit()
out = folder / (package.stem + ".mlmodelc")
(out / "weights").mkdir(parents=True)
(out / "coremldata.bin").write_bytes(b"compiled")
(out / "weights" / "weight.bin").write_bytes((package / "Data" / "weight.bin").read_bytes())
said = json.loads((here / "schemas.json").read_text())[package.stem]
if fault == "renames":
    said[0]["outputSchema"][0]["name"] = "var_1"
if fault == "reshapes":
    said[0]["inputSchema"][0]["shape"] = "[1, 2, 3]"
(out / "metadata.json").write_text("not JSON" if fault == "garbles" else json.dumps(said))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A WhisperKit folder as far as the compiler's caller looks at it."""
    folder = tmp_path / "source"
    for model in ("MelSpectrogram", "AudioEncoder", "TextDecoder"):
        (folder / f"{model}.mlpackage" / "Data").mkdir(parents=True)
        (folder / f"{model}.mlpackage" / "Data" / "weight.bin").write_bytes(model.encode())
    save_settings(tiny_checkpoint(), folder)
    files = {
        path.relative_to(folder).as_posix(): {"sha256": digest_of(path), "size_bytes": path.stat().st_size}
        for path in folder.rglob("*")
        if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({"coreml_executed": False, "files": files}))
    return folder


@pytest.fixture
def xcode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with an `xcrun`; write a word into its `fault` to break it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    xcrun = folder / "xcrun"
    xcrun.write_text(COMPILER.format(python=sys.executable))
    xcrun.chmod(xcrun.stat().st_mode | stat.S_IXUSR)
    (folder / "fault").write_text("")
    names = {"float16": "Float16", "int32": "Int32"}
    schemas = {
        model: [
            {
                side: [
                    {"name": tensor.name, "shape": str(list(tensor.shape)), "dataType": names[tensor.dtype]}
                    for tensor in tensors
                ]
                for side, tensors in (("inputSchema", contract.inputs), ("outputSchema", contract.outputs))
            }
        ]
        for model, contract in contracts_of(tiny_checkpoint().dims, has_alignment=False).items()
    }
    (folder / "schemas.json").write_text(json.dumps(schemas))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_each_package_is_compiled_and_the_rest_is_kept(source: Path, xcode: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    compile_folder(source, out)
    assert (out / "TextDecoder.mlmodelc" / "coremldata.bin").read_bytes() == b"compiled"
    assert not list(out.glob("*.mlpackage"))
    assert (out / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["compiled"] == {"compiler": "3405.2.1"}
    assert manifest["coreml_executed"] is False  # compiled is not run
    found = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {MANIFEST}
    assert set(manifest["files"]) == found
    assert all(digest_of(out / name) == said["sha256"] for name, said in manifest["files"].items())
    calls = [json.loads(line) for line in (xcode / "calls").read_text().splitlines()]
    assert ["coremlcompiler", "compile", str(source / "AudioEncoder.mlpackage"), str(out)] in calls


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no-compiler", "comes with Xcode"),
        ("refuses", "status 1: coremlcompiler: error: unable to parse"),
        ("silent", "wrote no coremldata.bin"),
        ("garbles", "cannot be read"),
        ("renames", "is missing"),
        ("reshapes", r"expected float16 \(.*\), got float16 \(1, 2, 3\)"),
    ],
)
def test_a_compiler_that_fails_leaves_nothing_behind(
    fault: str, said: str, source: Path, xcode: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (xcode / "fault").write_text(fault)
    out = tmp_path / "folder" / "out"
    with pytest.raises(ConversionError, match=said):
        (tmp_path / "direct").mkdir()
        compile_folder(source, tmp_path / "direct")
    assert main(["convert", "--model", str(source), "--to", "compiled", "--out", str(out)]) == 2
    assert capsys.readouterr().err
    assert not out.exists()


def test_without_a_mac_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConversionError, match=r"on a Mac.*MLModel\.compileModel.*convert\.yml"):
        find_compiler()


def test_a_package_that_changed_since_it_was_checked_is_not_compiled(source: Path, xcode: Path, tmp_path: Path) -> None:
    (source / "TextDecoder.mlpackage" / "Data" / "weight.bin").write_bytes(b"other")
    with pytest.raises(ConversionError, match=r"weight\.bin' is not what"):
        compile_folder(source, tmp_path)
    assert not (xcode / "calls").exists()


def test_a_folder_of_another_kind_is_not_compiled(xcode: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ConversionError, match="convert --to whisperkit"):
        compile_folder(tmp_path / "model", tmp_path / "out")


def test_the_command_compiles_a_folder(
    source: Path, xcode: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compiled"
    assert main(["convert", "--model", str(source), "--to", "compiled", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "MelSpectrogram.mlmodelc/metadata.json" in said["files"]
