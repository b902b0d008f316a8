import pytest
from pydantic import ValidationError

from projectone.contracts.packages import conflict_of, is_package_path
from projectone.contracts.releases import ReleaseFile

DEEP = "TextDecoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin"


@pytest.mark.parametrize("path", ["model.safetensors", DEEP, "a/b/c/d/e/f/g/h", "x" * 95 + "/" + "y" * 95])
def test_files_may_lie_in_folders(path: str) -> None:
    assert is_package_path(path)
    assert ReleaseFile(path=path, sha256="0" * 64, size_bytes=1).path == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../evil", "a/../evil", "a/./b", "a//b", "a/", "/", "..", "a/..", "a\\b", "..\\evil",
        "C:/evil", "C:evil", ".hidden", "a/.hidden", "a.", "a./b", "a b", "a\n", "a/b\n", "a\0b", "~/x", "-rf", "é",
        "a/b/c/d/e/f/g/h/i", "x" * 97, "x" * 100 + "/" + "y" * 100,
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder_or_means_something_else_elsewhere(path: str) -> None:
    assert not is_package_path(path)
    with pytest.raises(ValidationError):
        ReleaseFile(path=path, sha256="0" * 64, size_bytes=1)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["a", "a"], "twice"),
        (["Config.json", "config.json"], "case"),
        (["a", "a/b"], "a file and a folder"),
        (["a/b", "a"], "a file and a folder"),
        (["A", "a/b"], "a file and a folder"),
        (["A/b", "a/c"], "case"),
        (["x/A/b", "x/a/c"], "case"),
    ],
)
def test_files_that_get_in_each_others_way_are_found(paths: list[str], said: str) -> None:
    found = conflict_of(paths)
    assert found is not None and said in found


def test_neighbours_are_no_conflict() -> None:
    assert (
        conflict_of([DEEP, "AudioEncoder.mlpackage/Manifest.json", "TextDecoder.mlpackage/Manifest.json", "a"]) is None
    )
