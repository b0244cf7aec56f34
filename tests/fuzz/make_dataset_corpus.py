#!/usr/bin/python3
"""make_dataset_corpus.py CORPUS: writes valid files of vectors and labels, the seeds of the fuzz targets dataset_*.

Those of 2 vectors of 4 numbers begin with a zero, and so does every number of those of 24, and no text has 9 numbers: that is where the bugs are planted."""
import gzip
import json
import os
import struct
import sys

ROWS = {(1, 1): [0.5], (2, 4): [0, 1, 2, 3, 4, 5, 6, 255], (4, 2): [0, 1, 1, 0, 1, 1, 0, 0], (3, 2): [1, 2, 3, 4, 5, 6]}


def idx(shape, kind, values):
    form = {0x08: "%dB", 0x0D: ">%df"}[kind] % len(values)
    values = [int(v) for v in values] if kind == 0x08 else values
    return bytes([0, 0, kind, len(shape)]) + struct.pack(">%dI" % len(shape), *shape) + struct.pack(form, *values)


def npy(version, descr, shape, values):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    width = {1: 2, 2: 4, 3: 4}[version]
    head = (head + " " * (-(6 + 2 + width + len(head) + 1) % 64) + "\n").encode()
    form = {"<f4": "<%df", ">f4": ">%df", "<f8": "<%dd", "|u1": "%dB", "|b1": "%dB"}[descr] % len(values)
    values = [int(v) for v in values] if descr[1] in "ub" else values
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if width == 2 else "<I", len(head)) + head + struct.pack(form, *values)


def fvecs(rows, dim, values):
    return b"".join(struct.pack("<i%df" % dim, dim, *values[r * dim:(r + 1) * dim]) for r in range(rows))


def bvecs(rows, dim, values):
    return b"".join(struct.pack("<i%dB" % dim, dim, *map(int, values[r * dim:(r + 1) * dim])) for r in range(rows))


def fbin(rows, dim, values):
    return struct.pack("<II%df" % len(values), rows, dim, *values)


def u8bin(rows, dim, values):
    return struct.pack("<II%dB" % len(values), rows, dim, *map(int, values))


def csv(rows, dim, values, separator, end, head=""):
    return (head + "".join(separator.join("%g" % v for v in values[r * dim:(r + 1) * dim]) + end for r in range(rows))).encode()


def jsonl(rows, dim, values, **more):
    lines = ({**{name: value + r if name == "id" else value for name, value in more.items()}, "vector": values[r * dim:(r + 1) * dim]} for r in range(rows))
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


# client/cli/ann_layout.c: metric, bytes of an id, where children and vector begin, where the norm, the factor and the flag are
ANN = {"angular": (0, 4, 4, 12, 4, 0, 0), "angular64": (0, 8, 8, 24, 8, 0, 0), "euclidean": (1, 4, 8, 16, 0, 0, 0),
       "euclidean64": (1, 8, 16, 32, 0, 0, 0), "manhattan": (2, 4, 8, 16, 0, 0, 0), "manhattan64": (2, 8, 16, 32, 0, 0, 0),
       "dot": (4, 4, 4, 16, 0, 12, 0), "dot_after": (4, 4, 4, 24, 0, 12, 20), "dot64": (4, 8, 8, 36, 0, 24, 32),
       "hamming": (3, 4, 4, 16, 0, 0, 0), "hamming_before": (3, 4, 4, 12, 0, 0, 0), "hamming64": (3, 8, 8, 24, 0, 0, 0)}


def ann(layout, dim, rows, trees=2):
    """rows: vectors, None for a gap. Behind the fuzzed file's metric and dimension."""
    metric, width, children, vector, norm, factor, flag = ANN[layout]
    size = vector + (8 * ((dim + 63) // 64) if metric == 3 else 4 * dim)
    number = {4: "<I", 8: "<Q"}[width]

    def node(descendants, ids=(), values=None):
        out = bytearray(size)
        struct.pack_into(number, out, 0, descendants)
        for i, child in enumerate(ids):
            struct.pack_into(number, out, children + i * width, child)
        if values and metric == 3:
            for i, v in enumerate(values):
                out[vector + i // 8] |= (v > 0) << (i % 8)
        elif values:
            struct.pack_into("<%df" % dim, out, vector, *values)
        if values and not ids:
            if norm:
                struct.pack_into("<f", out, norm, sum(v * v for v in values))
            if factor:
                struct.pack_into("<f", out, factor, 1.5)
            if flag:
                out[flag] = 1
        return bytes(out)

    nodes = [node(0) if row is None else node(1, (), row) for row in rows]
    ids, roots, n = [i for i, row in enumerate(rows) if row is not None], [], len(rows)
    capacity = (size - children) // width

    def tree(part, root):
        if len(part) == 1 and not root:
            return part[0]
        if len(part) <= capacity and (not root or n <= capacity):
            nodes.append(node(n if root else len(part), part))
        else:
            half = len(part) // 2
            nodes.append(node(n if root else len(part), (tree(part[:half], False), tree(part[half:], False)), [1.0] * dim))
        return len(nodes) - 1

    for _ in range(trees):
        roots.append(tree(ids, True))
    return bytes([metric, dim]) + b"".join(nodes + [nodes[r] for r in roots])


def corpus():
    for layout in ANN:
        rows = [[(i * 7 + e * 3) % 11 - 5.0 for e in range(3)] for i in range(30)]
        yield "ann", layout, ann(layout, 3, [None if i % 5 == 1 else row for i, row in enumerate(rows)])
        yield "ann", layout + "_one", ann(layout, 2, [[1.0, 0.0]], 1)
        plain = ann(layout, 3, rows)
        metric, width, children, vector = ANN[layout][:4]
        head = struct.pack("<IHBBIIQI36x", 0x414E4958, 1, 8 if metric == 3 else 4, width, vector + (8 if metric == 3 else 12), 3, 30, 0)
        yield "ann", layout + "_head", plain[:2] + head + plain[2:]
    for (rows, dim), values in ROWS.items():
        name = "%dx%d" % (rows, dim)
        yield "idx", "u8_" + name, idx((rows, dim), 0x08, values)
        yield "idx", "f32_" + name, idx((rows, dim), 0x0D, values)
        for version, descr in ((1, "<f4"), (2, "|u1"), (3, "<f8"), (1, ">f4")):
            yield "npy", "v%d_%s_%s" % (version, descr[1:], name) + ("_big" if descr[0] == ">" else ""), npy(version, descr, (rows, dim), values)
        for form in (fvecs, bvecs, fbin, u8bin):
            yield form.__name__, name, form(rows, dim, values)
        yield "jsonl", name, jsonl(rows, dim, values)
        yield "jsonl", name + "_items", jsonl(rows, dim, values, id=2**64 - 4, payload={"label": "boot", "sizes": [38, None, True, -2.5]})
        yield "csv", name, csv(rows, dim, values, ",", "\n")
        yield "csv", name + "_tabs", csv(rows, dim, values, "\t", "\r\n", "first\tsecond\r\n")
    bits = ROWS[(4, 2)]
    yield "idx", "images", idx((2, 2, 2), 0x08, bits)
    yield "idx", "labels", idx((8,), 0x08, bits)
    yield "npy", "bool", npy(1, "|b1", (4, 2), bits)
    yield "npy", "images", npy(1, "|u1", (2, 2, 2), bits)
    yield "jsonl", "eight", jsonl(1, 8, ROWS[(2, 4)], key="boot")
    yield "csv", "blanks", b"1 2.5e-3 -4\n\n 7 8 9 "
    yield "csv", "labels", "shirt\nankle boot\nSchlüssel\n".encode()
    for target, content in (("idx", idx((2, 4), 0x08, ROWS[(2, 4)])), ("npy", npy(1, "<f4", (2, 4), ROWS[(2, 4)])),
                            ("fvecs", fvecs(2, 4, ROWS[(2, 4)])), ("bvecs", bvecs(2, 4, ROWS[(2, 4)])),
                            ("fbin", fbin(2, 4, ROWS[(2, 4)])), ("u8bin", u8bin(2, 4, ROWS[(2, 4)])), ("jsonl", jsonl(2, 4, ROWS[(2, 4)])), ("csv", csv(2, 4, ROWS[(2, 4)], ";", "\n"))):
        yield target, "gz", gzip.compress(content, mtime=0)


for target, name, content in corpus():
    folder = os.path.join(sys.argv[1], "dataset_" + target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(content)
