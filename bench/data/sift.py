#!/usr/bin/python3
"""sift: 1,000,000 x 128 SIFT descriptors, euclidean, computed by python3-opencv from the pictures of Debian's wallpaper
packages (photos.py); values 0 to 255, duplicates removed, 1,000 held out at random as queries. About ten minutes of one core.

With a network, the public SIFT1M (corpus-texmex.irisa.fr, sift.tar.gz) instead, as the set sift1m:
    bench/data/sift.py sift_base.fvecs sift_query.fvecs
and in the same way the set deep1m, from any fvecs or npy of Deep1B's descriptors:
    bench/data/sift.py --name deep1m base.fvecs queries.fvecs"""
import argparse

import cv2
import numpy as np

import photos
import sets

ROWS = 1000000
SIDE_MAX = 2560     # larger pictures are scaled down: descriptors of noise are no use
CONTRAST_MIN = 0.01 # a quarter of the usual threshold: gives enough descriptors from about 100 pictures
EDGE_MAX = 20       # twice the usual


def descriptors():
    sift = cv2.SIFT_create(contrastThreshold=CONTRAST_MIN, edgeThreshold=EDGE_MAX)
    for name, picture in photos.pictures(SIDE_MAX):
        found = sift.detectAndCompute(picture, None)[1]
        if found is not None:
            print(f"{len(found):8} {name}", flush=True)
            yield found.astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("public", nargs="*", help="base and queries of a public set")
    parser.add_argument("--name", default="sift1m", help="what to call the public set")
    arguments = parser.parse_args()
    if arguments.public:
        sets.public(arguments.public, arguments.name, "euclidean")
        return
    base, queries = sets.hold_out(np.concatenate(list(descriptors())), seed=1, n=ROWS)
    sets.write("sift", "euclidean", base.astype(np.float32), queries.astype(np.float32), "SIFT descriptors of Debian's wallpapers (OpenCV)")


main()
