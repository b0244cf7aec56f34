#!/usr/bin/python3
"""words: the words of Debian's English dictionaries, about 150,000 x 100, angular: skipgram vectors that Debian's fasttext
learns from the dictionaries' own text. 1,000 words are held out as queries. About 20 minutes of one core.

fastText with one thread gives the same vectors again. With a network, the public wiki-news-300d-1M.vec (fasttext.cc) or GloVe
instead: turn it into npy by numpy and use text.py's arguments."""
import gzip
import re
import shutil
import subprocess
import sys

import numpy as np

import sets

DICTIONARIES = ["dict-gcide", "dict-wn", "dict-foldoc", "dict-jargon", "dict-vera", "dict-devil", "dict-elements"]
DIM = 100
COUNT_MIN = 2


def corpus(path):
    """Lower-case words, an entry of the dictionary per line."""
    with open(path, "w", encoding="utf-8") as out:
        for package in DICTIONARIES:
            for source in sorted(sets.unpacked(package).rglob("*.dict.dz")):
                text = gzip.open(source).read().decode("utf-8", "replace").lower()
                for entry in re.split(r"\n(?=\S)", text):
                    out.write(" ".join(re.findall(r"[^\W\d_]{2,}", entry)) + "\n")


def main():
    if not shutil.which("fasttext"):
        sys.exit("fasttext is missing: deploy/packages bench installs it")
    folder = sets.folder() / "fasttext"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "words.vec").exists():
        corpus(folder / "corpus.txt")
        subprocess.run(["fasttext", "skipgram", "-input", folder / "corpus.txt", "-output", folder / "part", "-dim", str(DIM),
                        "-minCount", str(COUNT_MIN), "-thread", "1", "-seed", "1", "-verbose", "1"], check=True)
        (folder / "part.vec").rename(folder / "words.vec")
        (folder / "part.bin").unlink()
    with open(folder / "words.vec", encoding="utf-8") as file:
        next(file)
        rows = np.array([line.rstrip().rsplit(" ", DIM)[1:] for line in file], dtype=np.float32)
    rows = rows[np.linalg.norm(rows, axis=1) > 1e-6]
    base, queries = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in sets.hold_out(rows, seed=1))
    sets.write("words", "angular", base, queries, "fastText vectors of the words of Debian's English dictionaries")


main()
