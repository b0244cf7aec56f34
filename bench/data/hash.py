#!/usr/bin/python3
"""hash: 1,000,000 perceptual hashes of 64 bits, hamming: random square windows of the pictures of Debian's wallpaper packages
(photos.py), shrunk to 32 x 32, their 8 x 8 lowest cosine components compared to the median, as pHash does. Windows without
contrast are left out, equal codes kept once, 1,000 held out as queries. --rows N makes more or fewer, as the set hash-N.

There is no public original that every one compares on; codes of one's own images go in the same way (uint8 rows of 8 bytes)."""
import argparse

import cv2
import numpy as np

import photos
import sets

ROWS = 1000000
SIDE_MAX = 2560
WINDOWS = (32, 256)  # sides, drawn by their logarithm
CONTRAST_MIN = 6.0   # standard deviation of the shrunk window, of 255


def cosines():
    """The 8 lowest rows of the 32-point DCT."""
    i = np.arange(32)
    return np.cos(np.pi * (i + 0.5)[None, :] * np.arange(8)[:, None] / 32).astype(np.float32)


def codes(picture, count, random):
    height, width = picture.shape
    sides = np.exp(random.uniform(*np.log(WINDOWS), count)).astype(int)
    small = np.empty((count, 32, 32), np.float32)
    for i, side in enumerate(np.minimum(sides, min(height, width))):
        y, x = random.integers(height - side + 1), random.integers(width - side + 1)
        small[i] = cv2.resize(picture[y:y + side, x:x + side], (32, 32), interpolation=cv2.INTER_AREA)
    small = small[small.std(axis=(1, 2)) >= CONTRAST_MIN]
    waves = cosines()
    components = (waves @ small @ waves.T).reshape(-1, 64)
    return np.packbits(components > np.median(components[:, 1:], axis=1, keepdims=True), axis=1, bitorder="little")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    random = np.random.default_rng(1)
    kept = list(photos.pictures(SIDE_MAX))
    found = np.empty((0, 8), np.uint8)
    while len(found) < rows + sets.QUERIES:
        more = [codes(picture, 1 + rows // (2 * len(kept)), random) for _, picture in kept]
        found = np.unique(np.concatenate([found, *more]), axis=0)
        print(f"{len(found)} codes", flush=True)
    base, queries = sets.hold_out(found, seed=1, n=rows)
    sets.write("hash" if rows == ROWS else f"hash-{rows}", "hamming", base, queries, "perceptual hashes of windows of Debian's wallpapers")


main()
