#!/usr/bin/env python3
"""Reads shard bundles as docs/format.md describes them; written from that document alone.

    read_bundle.py verify DIRECTORY [PUBLIC_KEY]   with a key: signed by it, or refused
    read_bundle.py dequantize DIRECTORY TENSOR     rows of binary32 numbers as hexadecimal bits

Needs Python 3.9 and, for compressed chunks, the package zstandard (or Python 3.14) or the
command zstd. Exit status: 0 sound, 1 refused, 3 no Zstandard here.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys

MIB = 1 << 20
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
DESCRIPTOR_FIELD = {0x20: 1, 0x60: 2, 0xA0: 4, 0xE0: 8}
SPLIT = {"raw": 1, "zstd": 1, "zstd+split2": 2, "zstd+split4": 4}
GRIDS = (
    (-116, -98, -76, -58, -44, -32, -20, -8, 2, 12, 22, 34, 48, 62, 80, 116),
    (-110, -92, -70, -52, -38, -26, -14, -2, 8, 18, 28, 40, 54, 68, 86, 122),
)


class Refused(Exception):
    pass


class NoZstandard(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Refused(message)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- §3: sealed, canonical JSON


def canonical_string(text):
    out = ['"']
    for character in text:
        code = ord(character)
        if character in '"\\':
            out.append("\\" + character)
        elif character in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character])
        elif code < 0x20 or code == 0x7F:
            out.append("\\u%04x" % code)
        else:
            out.append(character)
    return "".join(out) + '"'


def canonical(value):
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode())
        return "{" + ",".join(canonical_string(k) + ":" + canonical(v) for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    if isinstance(value, str):
        return canonical_string(value)
    require(type(value) is int and abs(value) < 1 << 63, "a number is no integer of 64 bits")
    return str(value)


def unique(pairs):
    result = {}
    for key, value in pairs:
        require(key not in result, f"the member {key} stands twice")
        result[key] = value
    return result


def parse(data):
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from error


def unseal(path, name, limit):
    require(os.path.isfile(path), f"{path} is missing")
    require(os.path.getsize(path) <= limit, f"{path} is too long")
    with open(path, "rb") as file:
        data = file.read()
    start = b'{"digest":"'
    middle = b'","%s":' % name.encode()
    inner = data[len(start) + 71 + len(middle) : -2]
    found = data[len(start) : len(start) + 71].decode("latin-1")
    require(DIGEST.fullmatch(found), f"{path} is not sealed")
    require(data == start + found.encode() + middle + inner + b"}\n", f"{path} is not sealed")
    require(digest(inner) == found, f"{path} has another digest")
    value = parse(inner)
    require(isinstance(value, dict), f"{path} holds no object")
    require(canonical(value).encode() == inner, f"{path} is not canonical")
    return value


# --- §10: signatures. Ed25519 as RFC 8032 writes it down, affine and slow

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
TYPE = "application/vnd.shardtool.manifest+json"
CURVE = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME


def decode_point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    require(y < PRIME, "a point that is none")
    square = (y * y - 1) * pow(CURVE * y * y + 1, PRIME - 2, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    require((x * x - square) % PRIME == 0 and (x or not sign), "a point that is none")
    return (PRIME - x if x & 1 != sign else x, y)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = CURVE * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + t, PRIME - 2, PRIME) % PRIME,
        (y1 * y2 + x1 * x2) * pow(1 - t, PRIME - 2, PRIME) % PRIME,
    )


def multiply(scalar, point):
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def is_signature(signature, message, key):
    scalar = int.from_bytes(signature[32:], "little")
    require(scalar < ORDER, "a signature out of range")
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    factor = int.from_bytes(hashed, "little") % ORDER
    base_y = 4 * pow(5, PRIME - 2, PRIME) % PRIME
    base = decode_point(base_y.to_bytes(32, "little"))
    right = add(decode_point(signature[:32]), multiply(factor, decode_point(key)))
    return multiply(scalar, base) == right


def read_key(path):
    with open(path) as file:
        lines = file.read().split("\n")
    require(lines[0] == "-----BEGIN PUBLIC KEY-----" and lines[2:] == [
        "-----END PUBLIC KEY-----", ""], "no public key")
    der = base64.b64decode(lines[1], validate=True)
    require(len(der) == 44 and der.hex().startswith("302a300506032b6570032100"), "another key")
    return der


def check_signature(directory, trusted):
    """Checks the form of signature.json and, with a key, that it has signed."""
    path = os.path.join(directory, "signature.json")
    if not os.path.exists(path):
        require(trusted is None, f"{path} is missing")
        return
    require(os.path.getsize(path) <= 22435160, f"{path} is too long")
    with open(path, "rb") as file:
        data = file.read()
    with open(os.path.join(directory, "manifest.json"), "rb") as file:
        manifest = file.read()
    envelope = parse(data)
    require(canonical(envelope).encode() + b"\n" == data, f"{path} is not canonical")
    payload, kind, signatures = members(envelope, "payload", "payloadType", "signatures")
    require(kind == TYPE, "a signature of something else")
    require(payload == base64.b64encode(manifest).decode(), "a signature of another manifest")
    require(1 <= len(array(signatures)) <= 16, "a wrong number of signatures")
    names = []
    good = 0
    message = b"DSSEv1 %d %s %d " % (len(TYPE), TYPE.encode(), len(manifest)) + manifest
    for entry in signatures:
        name, value = members(entry, "keyid", "sig")
        names.append(text(name, DIGEST, "digest"))
        require(isinstance(value, str) and len(value) == 88, "no signature")
        try:
            signature = base64.b64decode(value, validate=True)
        except ValueError as error:
            raise Refused("no Base64") from error
        require(base64.b64encode(signature).decode() == value, "another Base64")
        require(len(signature) == 64, "a signature of another length")
        if trusted is not None and name == digest(trusted):
            require(is_signature(signature, message, trusted[12:]), "a wrong signature")
            good += 1
    require(names == sorted(set(names)), "signatures out of order")
    require(trusted is None or good == 1, "no signature of the trusted key")


def members(value, *names):
    """The values of exactly these members."""
    require(isinstance(value, dict), "no object where one should be")
    require(set(value) == set(names), f"members {sorted(value)}, not {sorted(names)}")
    return [value[name] for name in names]


def integer(value, low, high):
    require(type(value) is int and low <= value <= high, f"{value!r} is not in {low}..{high}")
    return value


def text(value, pattern, what):
    require(isinstance(value, str) and pattern.fullmatch(value), f"{value!r} is no {what}")
    return value


def array(value):
    require(isinstance(value, list), "no array where one should be")
    return value


# --- §8: schemes


def layouts(scheme, shape):
    """Name, type, shape, rows, and bytes in a row of each plane."""
    rows, columns = (shape[0], shape[1]) if len(shape) == 2 else (1, shape[0])
    padded = (columns + 31) // 32 * 32
    if scheme in ("f32", "f16", "bf16"):
        size = 4 if scheme == "f32" else 2
        return [("weight", scheme.upper(), shape, rows, columns * size)]
    if scheme == "q8":
        return [
            ("row_scale", "F32", [rows], rows, 4),
            ("block_scale", "U8", [rows, padded // 32], rows, padded // 32),
            ("codes", "I8", [rows, padded], rows, padded),
        ]
    if scheme == "q4":
        return [
            ("row_scale", "F32", [rows], rows, 4),
            ("block_scale", "U8", [rows, padded // 16], rows, padded // 16),
            ("codes", "U8", [rows, padded // 2], rows, padded // 2),
        ]
    if scheme in GGML:
        width, size = GGML[scheme]
        length = (columns + width - 1) // width * size
        return [("blocks", "U8", [rows, length], rows, length)]
    raise Refused(f"unknown scheme {scheme!r}")


# Columns and bytes of a block.
GGML = {"q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24), "q8_0": (32, 34),
        "iq4_nl": (32, 18), "q4_k": (256, 144), "q5_k": (256, 176), "q6_k": (256, 210),
        "iq4_xs": (256, 136)}
TABLE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]


def nibble(part, column):
    """Of 16 bytes N."""
    return part[column] & 15 if column < 16 else part[column - 16] >> 4


def six_bits(packed, i):
    if i < 4:
        return packed[i] & 63, packed[i + 4] & 63
    return (packed[i + 4] & 15 | packed[i - 4] >> 6 << 4, packed[i + 4] >> 4 | packed[i] >> 6 << 4)


def block_value(scheme, b, c):
    """Column c of one block. Products are exact in binary64, and so is what is rounded once."""
    half = lambda place: struct.unpack("<e", b[place : place + 2])[0]
    if scheme == "q4_0":
        return half(0) * (nibble(b[2:], c) - 8)
    if scheme == "q4_1":
        return binary32(half(0) * nibble(b[4:], c) + half(2))
    if scheme == "q5_0":
        return half(0) * (nibble(b[6:], c) + 16 * (b[2 + c // 8] >> c % 8 & 1) - 16)
    if scheme == "q5_1":
        return binary32(half(0) * (nibble(b[8:], c) + 16 * (b[4 + c // 8] >> c % 8 & 1)) + half(2))
    if scheme == "q8_0":
        return half(0) * (b[2 + c] - 256 * (b[2 + c] > 127))
    if scheme == "iq4_nl":
        return half(0) * TABLE[nibble(b[2:], c)]
    if scheme in ("q4_k", "q5_k"):
        s, n = six_bits(b[4:16], c // 32)
        byte = b[(16 if scheme == "q4_k" else 48) + c // 64 * 32 + c % 32]
        q = byte & 15 if c % 64 < 32 else byte >> 4
        if scheme == "q5_k":
            q += 16 * (b[16 + c % 32] >> c // 32 & 1)
        return binary32(half(0) * s * q - half(2) * n)
    if scheme == "q6_k":
        h, k, j = c // 128, c % 128 // 32, c % 32
        low = b[64 * h + 32 * (k % 2) + j]
        q = (low & 15 if k < 2 else low >> 4) + 16 * (b[128 + 32 * h + j] >> 2 * k & 3)
        s = b[192 + c // 16]
        return half(208) * (s - 256 * (s > 127)) * (q - 32)
    i = c // 32
    s = (b[4 + i // 2] >> 4 * (i % 2) & 15) + 16 * ((b[2] + 256 * b[3]) >> 2 * i & 3)
    return half(0) * (s - 32) * TABLE[nibble(b[8 + 16 * i :], c % 32)]


def binary32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def dequantize(scheme, shape, planes):
    rows, columns = (shape[0], shape[1]) if len(shape) == 2 else (1, shape[0])
    padded = (columns + 31) // 32 * 32
    result = []
    if scheme == "f32":
        values = struct.unpack(f"<{rows * columns}f", planes[0])
    elif scheme == "f16":
        values = struct.unpack(f"<{rows * columns}e", planes[0])
    elif scheme == "bf16":
        wide = b"".join(b"\0\0" + planes[0][i : i + 2] for i in range(0, len(planes[0]), 2))
        values = struct.unpack(f"<{rows * columns}f", wide)
    elif scheme in GGML:
        width, size = GGML[scheme]
        length = (columns + width - 1) // width * size
        blocks = [planes[0][i : i + size] for i in range(0, len(planes[0]), size)]
        values = [block_value(scheme, blocks[r * (length // size) + c // width], c % width)
                  for r in range(rows) for c in range(columns)]
    else:
        scales = struct.unpack(f"<{rows}f", planes[0])
        values = []
        for r in range(rows):
            for c in range(columns):
                if scheme == "q8":
                    code = planes[2][r * padded + c]
                    code -= 256 if code > 127 else 0
                    product = planes[1][r * (padded // 32) + c // 32] * code
                else:
                    b = planes[1][r * (padded // 16) + c // 16]
                    pair = planes[2][r * (padded // 2) + c // 2]
                    product = ((b & 254) - 127) * GRIDS[b & 1][pair >> 4 if c & 1 else pair & 15]
                # Both factors are exact in binary64, and so is their product.
                values.append(binary32(scales[r] * product))
    for r in range(rows):
        result.append(values[r * columns : (r + 1) * columns])
    return result


# --- §4, §5: manifest and chunks


def chunk_lengths(byte_count, step):
    return [min(step, byte_count - start) for start in range(0, byte_count, step)]


def read_chunks(value, lengths, for_numbers):
    chunks = array(value)
    require(len(chunks) == len(lengths), "a wrong number of chunks")
    for chunk, length in zip(chunks, lengths):
        codec, raw, raw_digest, stored, stored_digest = members(
            chunk, "codec", "raw_bytes", "raw_digest", "stored_bytes", "stored_digest")
        require(codec in SPLIT, f"unknown codec {codec!r}")
        require(for_numbers or SPLIT[codec] == 1, "a split codec for a file")
        integer(raw, 1, 4 * MIB)
        require(raw == length, f"a chunk of {raw} bytes instead of {length}")
        require(raw % SPLIT[codec] == 0, "a split chunk of broken numbers")
        integer(stored, 1, raw if codec == "raw" else raw - 1)
        text(raw_digest, DIGEST, "digest")
        text(stored_digest, DIGEST, "digest")
        if codec == "raw":
            require(stored == raw and stored_digest == raw_digest, "a raw chunk that differs")
    return chunks


def read_blob(value, chunks):
    name, length = members(value, "digest", "bytes")
    text(name, DIGEST, "digest")
    integer(length, 0, 1 << 48)
    require(length == sum(chunk["stored_bytes"] for chunk in chunks), "a blob of another length")
    return name, length


def read_file_set(value, step):
    blob, files = members(value, "blob", "files")
    chunks = []
    names = []
    for file in array(files):
        name, length, own = members(file, "name", "bytes", "chunks")
        names.append(text(name, NAME, "name"))
        lengths = chunk_lengths(integer(length, 0, 256 * MIB), step)
        chunks += read_chunks(own, lengths, False)
    require(names == sorted(set(names)), "files that are not sorted")
    read_blob(blob, chunks)
    return names


def read_component(value, step):
    name, blob, tensors, shared = members(value, "name", "blob", "tensors", "shared")
    chunks = []
    for tensor in array(tensors):
        tensor_name, scheme, shape, planes = members(tensor, "name", "scheme", "shape", "planes")
        require(
            isinstance(tensor_name, str) and 0 < len(tensor_name.encode()) <= 512
            and not re.search("[\x00-\x1f\x7f-\x9f]", tensor_name), "a tensor's name")
        require(len(array(shape)) in (1, 2), "a tensor's shape")
        product = 1
        for extent in shape:
            product *= integer(extent, 1, 1 << 31)
        require(product <= 1 << 40, "a tensor that is too large")
        expected = layouts(scheme, shape)
        require(len(array(planes)) == len(expected), "a wrong number of planes")
        for plane, (want, dtype, extents, rows, row_bytes) in zip(planes, expected):
            *found, own = members(plane, "name", "dtype", "shape", "chunks")
            require(found == [want, dtype, extents], f"plane {found}")
            rows_in_chunk = max(1, step // row_bytes)
            chunks += read_chunks(
                own, chunk_lengths(rows * row_bytes, rows_in_chunk * row_bytes), True)
    read_blob(blob, chunks)
    return name, [tensor["name"] for tensor in tensors], array(shared)


def order(name, block_count):
    if name == "embedding":
        return -1
    return block_count if name == "head" else int(name[6:])


def plain(value, may_be_empty=False):
    require(isinstance(value, str) and len(value.encode()) <= 512, "no short text")
    require(value or may_be_empty, "an empty text")
    require(not re.search("[\x00-\x1f\x7f-\x9f]", value), "control characters")


def check_provenance(value):
    packer, quantizer, version, recipe, sources = members(
        value, "packer", "quantizer", "quantized_format", "recipe", "sources")
    plain(packer)
    plain(quantizer, True)
    integer(version, 1, 1 << 62)
    name, default, roles, tied = members(recipe, "name", "default", "roles", "tied_embedding")
    plain(name)
    plain(default, True)
    plain(tied, True)
    require(isinstance(roles, dict), "no object of roles")
    for role, scheme in roles.items():
        text(role, NAME, "role")
        plain(scheme)
    names = []
    for source in array(sources):
        name, role, length, own = members(source, "name", "role", "bytes", "digest")
        plain(name)
        names.append(name.encode())
        require(
            role in ("configuration", "index", "licence", "tokenizer", "weights"), "a role")
        integer(length, 0, 1 << 48)
        text(own, DIGEST, "digest")
    require(len(names) <= 10000 and names == sorted(set(names)), "sources out of order")


def read_manifest(directory):
    manifest = unseal(os.path.join(directory, "manifest.json"), "manifest", 16 * MIB)
    require(manifest.get("schema") == "shardtool.bundle/3", "another format or version")
    (
        _, called, sequence, provenance, model_id, bundle_id, compressor, step, components, model,
        plan, nodes,
    ) = members(
        manifest, "schema", "name", "sequence", "provenance", "model_id", "bundle_id",
        "compressor", "chunk_bytes", "components", "model", "plan", "nodes")
    text(called, NAME, "name")
    integer(sequence, 1, 1 << 53)
    check_provenance(provenance)
    integer(step, 1, 4 * MIB)
    require(isinstance(compressor, str) and compressor, "no compressor")
    names, owner, sharing = [], {}, {}
    for component in array(components):
        name, own, shared = read_component(component, step)
        names.append(name)
        sharing[name] = shared
        for tensor in own:
            require(tensor not in owner, f"{tensor} stands twice")
            owner[tensor] = name
    blocks = len(names) - 2
    expected = ["embedding"] + [f"block-{i}" for i in range(blocks)] + ["head"]
    require(names == expected, "components that are not complete and in order")
    for name, shared in sharing.items():
        require(len(set(shared)) == len(shared), "a shared tensor twice")
        for tensor in shared:
            require(owner.get(tensor, name) != name, f"{tensor} is not another component's")
    require("config.json" in read_file_set(model, step), "no config.json")
    require(read_file_set(plan, step) == ["plan.json"], "no plan.json")
    held, node_names = [], []
    for node in array(nodes):
        name, own = members(node, "name", "components")
        node_names.append(text(name, NAME, "name").lower())
        require(all(c in names for c in array(own)), "a node with unknown components")
        require(own == sorted(own, key=lambda c: order(c, blocks)), "components out of order")
        held += own
    require(len(set(node_names)) == len(node_names), "two nodes of one name")
    require(sorted(held) == sorted(names), "components that are not on exactly one node")
    check_identities(manifest)
    return manifest


def raw_digests(chunks):
    return [chunk["raw_digest"] for chunk in chunks]


def check_identities(manifest):
    model = {
        "chunk_bytes": manifest["chunk_bytes"],
        "components": [
            {
                "name": component["name"], "shared": component["shared"],
                "tensors": [
                    {
                        "name": tensor["name"], "scheme": tensor["scheme"],
                        "shape": tensor["shape"],
                        "planes": [raw_digests(p["chunks"]) for p in tensor["planes"]],
                    }
                    for tensor in component["tensors"]
                ],
            }
            for component in manifest["components"]
        ],
        "files": [
            {"name": file["name"], "chunks": raw_digests(file["chunks"])}
            for file in manifest["model"]["files"]
        ],
    }
    require(digest(canonical(model).encode()) == manifest["model_id"], "another model_id")
    bundle = {
        "model_id": manifest["model_id"], "nodes": manifest["nodes"],
        "plan": [d for file in manifest["plan"]["files"] for d in raw_digests(file["chunks"])],
    }
    require(digest(canonical(bundle).encode()) == manifest["bundle_id"], "another bundle_id")


# --- §6: codecs


def decompress(frame, length):
    require(len(frame) >= 6 and frame[:4] == b"\x28\xb5\x2f\xfd", "no Zstandard frame")
    require(frame[4] in DESCRIPTOR_FIELD, "a frame header that is not allowed")
    width = DESCRIPTOR_FIELD[frame[4]]
    size = int.from_bytes(frame[5 : 5 + width], "little") + (256 if width == 2 else 0)
    require(size == length, "a frame of another length")
    position = 5 + width
    while True:
        require(position + 3 <= len(frame), "a frame that is cut short")
        header = int.from_bytes(frame[position : position + 3], "little")
        kind = header >> 1 & 3
        require(kind != 3, "a reserved block")
        position += 3 + (1 if kind == 1 else header >> 3)
        if header & 1:
            break
    require(position == len(frame), "bytes behind the frame, or a frame that is cut short")
    result = zstandard_decompress(frame, length)
    require(len(result) == length, "a frame that holds another length")
    return result


def zstandard_decompress(frame, length):
    try:
        import zstandard
        try:
            return zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
        except zstandard.ZstdError as error:
            raise Refused(f"a damaged frame: {error}") from error
    except ImportError:
        pass
    try:
        from compression import zstd
        try:
            return zstd.ZstdDecompressor().decompress(frame, max_length=length)
        except zstd.ZstdError as error:
            raise Refused(f"a damaged frame: {error}") from error
    except ImportError:
        pass
    if not shutil.which("zstd"):
        raise NoZstandard()
    run = subprocess.run(["zstd", "-d", "-c", "-q"], input=frame, capture_output=True)
    require(run.returncode == 0, "a damaged frame")
    return run.stdout


def read_raw(stored, chunk):
    require(digest(stored) == chunk["stored_digest"], "stored bytes have another digest")
    codec, length = chunk["codec"], chunk["raw_bytes"]
    if codec == "raw":
        return stored
    data = decompress(stored, length)
    width = SPLIT[codec]
    if width > 1:
        parts = [data[p * length // width : (p + 1) * length // width] for p in range(width)]
        joined = bytearray(length)
        for p, part in enumerate(parts):
            joined[p::width] = part
        data = bytes(joined)
    require(digest(data) == chunk["raw_digest"], "raw bytes have another digest")
    return data


class Bundle:
    def __init__(self, directory, trusted=None):
        self.directory = directory
        check_signature(directory, trusted)
        self.manifest = read_manifest(directory)
        self.node = None
        descriptor = os.path.join(directory, "node.json")
        if os.path.exists(descriptor):
            node = unseal(descriptor, "node", 64 << 10)
            schema, self.node, bundle_id = members(node, "schema", "name", "bundle_id")
            require(schema == "shardtool.bundle-node/1", "another node format")
            require(bundle_id == self.manifest["bundle_id"], "a node of another bundle")
            names = [entry["name"] for entry in self.manifest["nodes"]]
            require(self.node in names, "an unknown node")
        self.check_plan()

    def components(self):
        """The components whose blobs must be here."""
        everything = self.manifest["components"]
        if self.node is None:
            return everything
        own = next(n for n in self.manifest["nodes"] if n["name"] == self.node)["components"]
        shared = {t for c in everything if c["name"] in own for t in c["shared"]}
        return [
            c for c in everything
            if c["name"] in own or any(t["name"] in shared for t in c["tensors"])
        ]

    def open_blob(self, blob):
        name = blob["digest"][7:]
        path = os.path.join(self.directory, "blobs", "sha256", name)
        require(os.path.isfile(path), f"blob {name} is missing")
        require(os.path.getsize(path) == blob["bytes"], f"blob {name} has another length")
        with open(path, "rb") as file:
            data = file.read()
        require(digest(data) == blob["digest"], f"blob {name} has another digest")
        return data

    def read(self, blob, lists):
        """The raw bytes of consecutive lists of chunks in a blob."""
        data = self.open_blob(blob)
        position = 0
        for chunks in lists:
            content = b""
            for chunk in chunks:
                stored = data[position : position + chunk["stored_bytes"]]
                position += chunk["stored_bytes"]
                content += read_raw(stored, chunk)
            yield content

    def files(self, name):
        entry = self.manifest[name]
        contents = self.read(entry["blob"], [file["chunks"] for file in entry["files"]])
        return {file["name"]: content for file, content in zip(entry["files"], contents)}

    def check_plan(self):
        require(isinstance(parse(self.files("model")["config.json"]), dict), "no configuration")
        plan = parse(self.files("plan")["plan.json"])
        planned = []
        for node in plan["nodes"]:
            first, count = node["first_layer"], node["layer_count"]
            own = [f"block-{i}" for i in range(first, first + count)]
            own = (["embedding"] if "embedding" in node["roles"] else []) + own
            own += ["head"] if "head" in node["roles"] else []
            planned.append({"name": node["name"], "components": own})
        require(planned == self.manifest["nodes"], "another plan than the manifest's")

    def verify(self):
        chunks = 0
        for component in self.components():
            planes = [p["chunks"] for t in component["tensors"] for p in t["planes"]]
            for _ in self.read(component["blob"], planes):
                pass
            chunks += sum(map(len, planes))
        return chunks

    def tensor(self, name):
        for component in self.components():
            for tensor in component["tensors"]:
                if tensor["name"] == name:
                    planes = [p["chunks"] for t in component["tensors"] for p in t["planes"]]
                    contents = list(self.read(component["blob"], planes))
                    names = [t["name"] for t in component["tensors"] for _ in t["planes"]]
                    own = [c for n, c in zip(names, contents) if n == name]
                    return dequantize(tensor["scheme"], tensor["shape"], own)
        raise Refused(f"no tensor {name} here")


def main(arguments):
    if len(arguments) < 2 or arguments[0] not in ("verify", "dequantize"):
        print(__doc__, file=sys.stderr)
        return 64
    try:
        with_key = arguments[0] == "verify" and len(arguments) > 2
        bundle = Bundle(arguments[1], read_key(arguments[2]) if with_key else None)
        if arguments[0] == "verify":
            print(f"sound: {bundle.verify()} chunks of weights, {bundle.manifest['bundle_id']}")
        else:
            for row in bundle.tensor(arguments[2]):
                print(" ".join(struct.pack(">f", value).hex() for value in row))
    except (Refused, KeyError, TypeError, AttributeError) as reason:
        print(f"refused: {reason!r}", file=sys.stderr)
        return 1
    except NoZstandard:
        print("there is no Zstandard on this machine", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
