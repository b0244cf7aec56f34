#!/usr/bin/python3
"""The perceptual-hash tutorial: the nine most similar of a folder of images, by the bits of their hashes. Only the import is changed.

    python3 similar_images.py FOLDER [--query NAME] [--picture similar_images.png]

FOLDER and those below it hold images; links, and images of less than 32 pixels, are left out. Debian's gnome-icon-theme has the same
icons in several sizes: similar_images.py /usr/share/icons/gnome --query 256x256/devices/camera-photo.png

With Annoy and 200 trees every list of neighbours of the tutorial's 900 photographs has the exact distances; of these 963 icons, all but 3
for the average hash (Annoy's own headers, from r-cran-rcppannoy). Prints for each hash how many do here, and how many do with exact search,
which the tutorial looked for in a BallTree: that turned bits into floats.
"""
import argparse
import os

import numpy
from PIL import Image

from grove import AnnoyIndex  # was: from annoy import AnnoyIndex
from image_hashes import HASHES
import image_grid

SMALLEST = 32  # pixels
NEIGHBOURS = 9
ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def read_image(path):
    """On white: what is seen through a hole counts too."""
    image = Image.open(path).convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def find_images(folder):
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names if name.lower().endswith(ENDINGS)]
    return [path for path in sorted(paths) if not os.path.islink(path) and side_of(path) >= SMALLEST]


def side_of(path):
    """The shorter one, in pixels."""
    with Image.open(path) as image:
        return min(image.size)


def main():
    parser = argparse.ArgumentParser(description="The perceptual-hash tutorial.")
    parser.add_argument("folder", help="with images")
    parser.add_argument("--query", help="the image whose neighbours are shown, by its path in the folder (default: the first)")
    parser.add_argument("--picture", default="similar_images.png", help="file to write (similar_images.png)")
    options = parser.parse_args()
    paths = find_images(options.folder)
    if not paths:
        parser.error(f"there is no image of {SMALLEST} pixels or more in {options.folder}")
    wanted = os.path.join(options.folder, options.query) if options.query else paths[0]
    if wanted not in paths:
        parser.error(f"{wanted} is none of the images")
    query = paths.index(wanted)
    images = [read_image(path) for path in paths]

    picture = []
    for name, hash_of in HASHES.items():
        hashes = numpy.array([hash_of(image) for image in images])
        index = AnnoyIndex(hashes.shape[1], "hamming")
        for i, bits in enumerate(hashes):
            index.add_item(i, bits)
        index.build(200)
        compare(name, index, hashes)

        ids, distances = index.get_nns_by_item(query, NEIGHBOURS, include_distances=True)
        picture.append([(images[query], name)] + [(images[i], f"{d:.0f} bits") for i, d in zip(ids, distances)])
    image_grid.save(options.picture, picture)


def compare(name, index, hashes):
    """How many of all lists of neighbours have the right distances? A list may end among several images at the same distance."""
    n = len(hashes)
    right = numpy.sort([(bits != hashes).sum(axis=1) for bits in hashes], axis=1)[:, :NEIGHBOURS].tolist()
    lists = [index.get_nns_by_item(i, NEIGHBOURS, include_distances=True)[1] for i in range(n)]
    exact = index.index.search(hashes, NEIGHBOURS, exact=True).distances.tolist()  # Annoy has no such thing
    trees, scan = (sum(a == b for a, b in zip(found, right)) for found in (lists, exact))
    print(f"{name}: {index.f} bits, of {n} lists of {NEIGHBOURS} neighbours {trees} have the exact distances   published: all")
    print(f"{name}: {index.f} bits, with exact search {scan}")


if __name__ == "__main__":
    main()
