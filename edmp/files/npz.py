"""Arrays that somebody else wrote, .npz and .npy: nothing unpickled, no memory that the file does not hold.

``np.load`` believes what the headers of an archive and of its members say; here both are looked at first.
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edmp.errors import FileFormatError
from edmp.files.reading import MAX_BYTES, read_bytes
from edmp.files.writing import written_whole


def read_npz(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz file that is to be a ``what``, by name.

    Raises:
        FileFormatError: it is not there, none, damaged, holds objects, or more than `MAX_BYTES` when unpacked.
    """
    return npz_arrays(read_bytes(path, what), str(path), what)


def npz_arrays(data: bytes, source: str, what: str) -> dict[str, NDArray[Any]]:
    """`read_npz` of bytes; ``source`` names them."""
    arrays, left = {}, MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                left -= member.file_size
                if left < 0:
                    raise FileFormatError(f"{source}: unpacked it has more than {MAX_BYTES} bytes")
                with archive.open(member) as stream:
                    content = stream.read(member.file_size + 1)
                arrays[member.filename.removesuffix(".npy")] = npy_array(content, f"{source}: {member.filename}")
    except FileFormatError:
        raise
    # What zipfile and zlib raise on damaged archives, some of it by way of `struct`, `io` and unknown compressions.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError) as error:
        raise FileFormatError(f"{source}: not a {what}, or damaged: {error}") from None
    except (ValueError, NotImplementedError, RuntimeError, OverflowError, MemoryError) as error:
        raise FileFormatError(f"{source}: not a {what}, or damaged: {error}") from None
    return arrays


def npy_array(content: bytes, source: str) -> NDArray[Any]:
    """The array of a .npy file whose header is right about its size.

    Raises:
        FileFormatError: it is none, holds objects, or more or less than its header says.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"format {version}")
        shape, fortran, dtype = _HEADERS[version](stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or size != len(content) - stream.tell():
            raise ValueError(f"{dtype} {shape} does not fit in {len(content)} bytes")
        flat = np.frombuffer(content, dtype, count=math.prod(shape), offset=stream.tell())
        return flat.reshape(shape, order="F" if fortran else "C")
    # The header is the text of a Python literal: numpy evaluates it, and says by many exceptions that it cannot.
    except (ValueError, TypeError, SyntaxError, ArithmeticError, MemoryError, RecursionError, TokenError) as error:
        raise FileFormatError(f"{source}: not an array, or damaged: {error}") from None


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, compressed, whole or not at all; the same arrays give the same bytes.

    Raises:
        InvalidInputError: it cannot be written.
    """
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        stream.write(npz_bytes(arrays))


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What `write_npz` writes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:  # level 6: the same, slower
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of 1980: no clock in the bytes
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as content:
                np.lib.format.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
    return stream.getvalue()
