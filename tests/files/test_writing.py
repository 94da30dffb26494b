"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from edmp.errors import InvalidInputError
from edmp.files.writing import write_text, written_whole


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with written_whole(tmp_path / "private") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT, 0o600))
    assert (tmp_path / "private").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_where_nothing_can_be_written_an_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot write .*nowhere"):
        write_text(tmp_path / "nowhere" / "file", "text")
