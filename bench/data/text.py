#!/usr/bin/python3
"""text, mips: the passages of Debian's package descriptions, about 300,000 x 100, by tf-idf and SVD (python3-sklearn). text is
normalised to length 1 and angular; mips is the same not normalised, by dot. A passage is a sentence, a paragraph or
a whole description, as a search in documents has them; each once. 1,000 are held out as queries.

The long descriptions are apt's translation files, fetched into the cache folder; the lists of the system stay as they are.

With a network, GloVe (nlp.stanford.edu/projects/glove, glove.twitter.27B.100d.txt) instead, as the set glove: turn the numbers
into npy by numpy, hold out 1,000 rows, then
    bench/data/text.py base.npy queries.npy"""
import argparse
import re
import subprocess
import sys

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

import sets

DIM = 100
WORDS_MIN = 3    # shorter ones are headings
PASSAGES = 301000


def descriptions():
    lists = sets.folder() / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    if not any("Translation-en" in path.name for path in lists.iterdir()):
        options = [f"Dir::State::lists={lists}", "Acquire::Languages=en", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache="]
        subprocess.run(["apt-get", "-q", *(word for option in options for word in ("-o", option)), "update"], check=True)
    found = sorted(path for path in lists.iterdir() if "Translation-en" in path.name)
    if not found:
        sys.exit("apt fetched no descriptions: this script wants a Debian mirror in /etc/apt/sources.list")
    for path in found:
        yield subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, stdout=subprocess.PIPE, text=True).stdout


def passages():
    """Distinct, in the order of the archive."""
    found = {}
    for text in descriptions():
        for stanza in text.split("\n\n"):
            body = stanza.partition("Description-en:")[2]
            paragraphs = [" ".join(part.split()) for part in re.split(r"\n \.\n|\n  |\n *[*-] ", body)]
            sentences = [piece for part in paragraphs for piece in re.split(r"(?<=[.;:!?])\s+", part)]
            for piece in [*sentences, *paragraphs, " ".join(paragraphs)]:
                if len(piece.split()) >= WORDS_MIN:
                    found[piece] = None
    return list(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("public", nargs="*", help="base and queries of a public set")
    parser.add_argument("--name", default="glove", help="what to call the public set")
    arguments = parser.parse_args()
    if arguments.public:
        sets.public(arguments.public, arguments.name, "angular")
        return
    found = passages()
    print(f"{len(found)} passages", flush=True)
    found = [found[i] for i in np.random.default_rng(1).permutation(len(found))[:PASSAGES]]
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=3, dtype=np.float32).fit_transform(found)
    rows = TruncatedSVD(DIM, random_state=1).fit_transform(words).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1)
    rows = rows[lengths > 1e-3]
    base, queries = sets.hold_out(rows, seed=1)
    sets.write("mips", "dot", base, queries, "passages of Debian's package descriptions, tf-idf and SVD")
    base, queries = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (base, queries))
    sets.write("text", "angular", base, queries, "passages of Debian's package descriptions, tf-idf and SVD, normalised")


main()
