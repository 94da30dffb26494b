"""Damaged and hostile variants of a file: bytes, words and numbers, and values of its structure."""

from __future__ import annotations

import io
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

import yaml

Mutation = Callable[[bytes, random.Random], bytes]

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = re.compile(rb"[A-Za-z_][\w-]*")

NUMBERS = (
    b"nan", b".nan", b"NaN", b"inf", b"-.inf", b"Infinity", b"1e308", b"-1e308", b"1e-320", b"1e999", b"0", b"-0.0",
    b"-1", b"2147483648", b"99999999999999999999", b"9" * 400, b"9" * 5000, b"", b"1e", b"0x10", b"1_000", b"true",
    b"~", b"12:30:45",
)  # fmt: skip
SIGNS = (b"'", b"*a", b"&a [*a]", b"[/b]", b"<!--")
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 10**20, 10**400, 1e308, -1e308, 1e-320, float("nan"), float("inf"), "", "a\tb",
    "[/b]", "$x_{", "../../../etc/passwd", "/dev/zero", "\ud800", "\0", "é" * 500, [], [[]], {}, [1, [2]], [None],
    ["a"], [[1.0] * 7],
    [0.0] * 100, {"a": {"b": [1]}}, [[[[[[0]]]]]],
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, doubled, lost and overwritten bytes."""
    if not data:
        return b"\0"
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    b = min(b, a + rng.choice((1, 8, 64, 4096)))
    match rng.randrange(7):
        case 0:
            return data[:a]
        case 1:
            return data[:a] + data[b:]
        case 2:
            return data[:b] + data[a:b] * rng.choice((1, 2, 50)) + data[b:]
        case 3:
            return data[:a] + rng.randbytes(rng.choice((1, 2, 8, 100))) + data[a:]
        case 4:
            word = struct.pack("<Q", rng.choice((0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, rng.getrandbits(64))))
            word = word[: rng.choice((1, 2, 4, 8))]
            return data[:a] + word + data[a + len(word) :]
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def reworded(data: bytes, rng: random.Random) -> bytes:
    """Numbers made huge, empty or none; words exchanged; lines lost, doubled and moved."""
    match rng.randrange(5):
        case 0 | 1:
            return _replaced(data, NUMBER, lambda _: rng.choice(NUMBERS), rng)
        case 2:
            words = WORD.findall(data) or [b"x"]
            return _replaced(data, WORD, lambda _: rng.choice(words), rng)
        case 3:
            return _replaced(
                data, WORD, lambda word: rng.choice((b"", word * 2, b"'", b"*a", b"&a [*a]", b"[/b]")), rng
            )
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    line = lines.pop(at)
    lines[rng.randrange(len(lines) + 1) : 0] = [line] * rng.choice((0, 1, 2, 30))
    return b"\n".join(lines)


def _replaced(data: bytes, pattern: re.Pattern[bytes], by: Callable[[bytes], bytes], rng: random.Random) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data[::-1]
    match = rng.choice(found)
    return data[: match.start()] + by(match[0]) + data[match.end() :]


def restructured(document: Any, rng: random.Random) -> Any:
    """A document with one value exchanged, lost or doubled."""
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        node = stack.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    if not places:
        return rng.choice(STRANGE)
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del node[key]
        case 1:
            other, there = rng.choice(places)
            if there in other if isinstance(other, dict) else there < len(other):
                node[key] = json.loads(json.dumps(other[there]))
        case 2 if isinstance(node, list):
            node.extend([node[key]] * rng.choice((1, 3, 100)))
        case 2:
            node[rng.choice(("", "x", "name", str(key) * 2))] = node.pop(key)
        case _:
            node[key] = rng.choice(STRANGE)
    return document


def as_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON text with another structure, or reworded or damaged."""
    if rng.random() < 0.6:
        return json.dumps(restructured(json.loads(data), rng)).encode()
    return rng.choice((reworded, damaged))(data, rng)


def as_json_lines(data: bytes, rng: random.Random) -> bytes:
    """One line of many with another structure, or the whole text reworded or damaged."""
    if rng.random() < 0.6:
        lines = data.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        lines[at] = json.dumps(restructured(json.loads(lines[at]), rng)).encode() + b"\n"
        return b"".join(lines)
    return rng.choice((reworded, damaged))(data, rng)


def as_yaml(data: bytes, rng: random.Random) -> bytes:
    """A YAML text with another structure, or reworded or damaged."""
    if rng.random() < 0.5:
        document = restructured(yaml.load(data, Loader=yaml.CSafeLoader), rng)
        flow = rng.random() < 0.3
        try:
            text = yaml.dump(document, Dumper=yaml.CSafeDumper, default_flow_style=flow)
        except UnicodeEncodeError:  # half a surrogate pair; YAML takes most of JSON
            text = json.dumps(document)
        return text.encode()
    return rng.choice((reworded, reworded, damaged))(data, rng)


def as_text(data: bytes, rng: random.Random) -> bytes:
    """A text reworded or damaged."""
    return rng.choice((reworded, reworded, damaged))(data, rng)


def as_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Weights whose header, or the description in it, has another structure; or damaged."""
    if rng.random() < 0.4:
        return damaged(data, rng)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.7:
        header["__metadata__"]["edmp"] = json.dumps(restructured(json.loads(header["__metadata__"]["edmp"]), rng))
    else:
        restructured(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def as_npz(data: bytes, rng: random.Random) -> bytes:
    """Arrays of which one is lost, of another shape or type, or described by another head; or damaged."""
    import numpy as np

    if rng.random() < 0.5:
        return damaged(data, rng)
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    match rng.randrange(6):
        case 0:
            del arrays[name]
        case 1 if arrays[name].dtype.kind != "U":
            array = arrays[name]
            arrays[name] = rng.choice(
                (array[None], array[..., :1], array[:0], array.astype("S3"), array.astype(complex))
            )
        case 2 if arrays[name].dtype.kind == "f":
            arrays[name] = arrays[name] * rng.choice((np.nan, np.inf, 1e30, 0.0))
        case _ if "head" not in arrays:
            arrays = dict(zip(arrays, rng.sample([*arrays.values()], len(arrays)), strict=True))
        case _:
            head = restructured(json.loads(str(arrays["head"])), rng)
            arrays["head"] = np.array(json.dumps(head))
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def as_hdf5(data: bytes, rng: random.Random) -> bytes:
    """Datasets of which one is lost, of another shape or type, or not finite; or damaged."""
    import h5py
    import numpy as np

    if rng.random() < 0.8:
        return damaged(data, rng)
    content = io.BytesIO(data)
    with h5py.File(content, "r+") as file:
        name = rng.choice(sorted(file))
        array = file[name][...]
        del file[name]
        strange = (
            array[None],
            array[..., :1],
            array[:0],
            array * np.nan,
            array * 1e30,
            array.astype("S3"),
            array.astype(int),
        )
        match rng.randrange(4):
            case 0:
                file.create_group(name)
            case 1:
                file.create_dataset(name, shape=(2**40, *array.shape[1:]), chunks=(1, *array.shape[1:]), dtype="f4")
            case 2:
                pass
            case _:
                file.create_dataset(name, data=rng.choice(strange))
    return content.getvalue()


def as_demos(data: bytes, rng: random.Random) -> bytes:
    """Data sets in groups, of which one is lost, of another shape or type, or not finite; or damaged."""
    import h5py
    import numpy as np

    if rng.random() < 0.6:
        return damaged(data, rng)
    content = io.BytesIO(data)
    with h5py.File(content, "r+") as file:
        demo = file["data/demo_0"]
        name = rng.choice(("actions", "obs/robot0_joint_pos", "obs/robot0_joint_vel", "obs", "env_args"))
        if name == "env_args":
            file["data"].attrs["env_args"] = (
                as_json(file["data"].attrs["env_args"].encode(), rng).decode("utf8", "replace").replace("\0", "")
            )
            return content.getvalue()
        array = np.zeros(3) if name == "obs" else demo[name][...]
        del demo[name]
        strange = (array[None], array[..., :1], array[:1], array * np.nan, array * 1e300, array.astype("S3"))
        match rng.randrange(4):
            case 0:
                demo.create_group(name)
            case 1:
                demo.create_dataset(name, shape=(2**40, *array.shape[1:]), chunks=(1, *array.shape[1:]), dtype="f4")
            case 2:
                pass
            case _:
                demo.create_dataset(name, data=rng.choice(strange))
    return content.getvalue()


def as_mcap(data: bytes, rng: random.Random) -> bytes:
    """Messages, names or plan with another structure, written with the right checksums; or damaged."""
    from mcap.reader import make_reader
    from mcap.writer import Writer

    if rng.random() < 0.6:
        return damaged(data, rng)
    reader, content = make_reader(io.BytesIO(data)), io.BytesIO()
    messages = [(channel.topic, message.data) for _, channel, message in reader.iter_messages(log_time_order=False)]
    (plan,), (about,) = [a.data for a in reader.iter_attachments()], [m.metadata for m in reader.iter_metadata()]
    match rng.randrange(4):
        case 0:
            at = rng.randrange(len(messages))
            messages[at] = (rng.choice((messages[at][0], "/contact", "/x")), as_json(messages[at][1], rng))
        case 1:
            del messages[rng.randrange(len(messages))]
        case 2:
            plan = as_json(plan, rng)
        case _:
            about |= {
                rng.choice(("joint_names", "version", "x")): rng.choice(("", "[]", '["a"]', "[1]", "{}", "1", "\0"))
            }
    writer = Writer(content)
    writer.start()
    writer.add_metadata("edmp", about)
    writer.add_attachment(0, 0, "plan.json", "application/json", plan)
    schema = writer.register_schema("x", "jsonschema", b"{}")
    channels = {topic: writer.register_channel(topic, "json", schema) for topic in sorted({m[0] for m in messages})}
    for topic, message in messages:
        writer.add_message(channels[topic], 0, message, 0)
    writer.finish()
    return content.getvalue()
