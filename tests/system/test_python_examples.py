#!/usr/bin/python3
"""The tutorials of client/python/examples give their numbers and their pictures, in a cluster and without one.

Here the right answers are computed with numpy alone. GROVE_FULL: with all of the images."""
import ast
import glob
import gzip
import os
import random
import re
import subprocess
import sys
import tempfile

import numpy
from PIL import Image
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold

import cluster

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "client", "python"))
sys.path.insert(0, PACKAGE)
sys.path.insert(1, os.path.join(PACKAGE, "examples"))
import grove  # noqa: E402  (after the path)
import image_hashes  # noqa: E402

ICONS = "/usr/share/icons/gnome"  # the same in several sizes, by category
CATEGORIES = ["actions", "animations", "apps", "categories", "devices", "emblems", "emotes", "mimetypes", "places", "status"]
TILE, TEXT, GAP = 84, 14, 6  # pixels of a picture (image_grid.py)


def fashion_labels(kind):
    with gzip.open(f"{cluster.FASHION}/{kind}-labels-idx1-ubyte.gz") as f:
        return numpy.frombuffer(f.read()[8:], numpy.uint8)


def nearest(rows, queries, k):
    """Indices of the k rows with the largest cosines, best first."""
    rows, queries = rows.astype("f4"), queries.astype("f4")
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    return numpy.concatenate([numpy.argsort(-(part @ rows.T), axis=1, kind="stable")[:, :k] for part in numpy.array_split(queries, len(queries) // 200 + 1)])


def tiles(path, size=TILE):
    """The images of a picture, uint8 [rows x columns x size x size x 3]."""
    pixels = numpy.asarray(Image.open(path).convert("RGB"))
    height, width = (pixels.shape[0] - GAP) // (size + TEXT + GAP), (pixels.shape[1] - GAP) // (size + GAP)
    corner = [(GAP + y * (size + TEXT + GAP), GAP + x * (size + GAP)) for y in range(height) for x in range(width)]
    return numpy.stack([pixels[y:y + size, x:x + size] for y, x in corner]).reshape(height, width, size, size, 3)


def icons(folder):
    """Paths of the icons of folders like 48x48 that are not links."""
    return [p for p in sorted(glob.glob(f"{ICONS}/{folder}/*/*.png")) if not os.path.islink(p)]


def on_white(path):
    icon = Image.open(path).convert("RGBA")
    white = Image.new("RGB", icon.size, "white")
    white.paste(icon, (0, 0), icon)
    return white


class Examples(cluster.OneCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = grove.Client(cls.c.endpoint)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="grove-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.picture = f"{self.folder}/picture.png"

    def run_example(self, name, *arguments, alone=False, check=0):
        """What it prints. alone: with no cluster at hand. Its indexes are gone afterwards."""
        env = dict(os.environ, PYTHONPATH=PACKAGE, GROVE_ENDPOINT=self.c.endpoint, GROVE_PROGRAM=cluster.program("grove"))
        if alone:
            del env["GROVE_ENDPOINT"]
        done = subprocess.run(["/usr/bin/python3", os.path.join(PACKAGE, "examples", name), *map(str, arguments)], env=env, cwd=self.folder,
                              capture_output=True, text=True, timeout=1500)
        self.assertEqual(done.returncode, check, done.stdout + done.stderr)
        self.assertEqual(self.client.indexes(), [])
        return done.stdout if check == 0 else done.stderr

    def report(self, name, text):
        for line in text.splitlines():
            print(f"| {name}: {line}", file=sys.stderr)

    def accuracies(self, text):
        return [float(n) for n in re.findall(r"accuracy ([0-9.]+)", text)]

    # ---- MNIST ----

    def mnist(self, n, m):
        return [cluster.fashion("train")[:n], fashion_labels("train")[:n], cluster.fashion("t10k")[:m], fashion_labels("t10k")[:m]]

    def test_mnist_gives_annoys_number_and_with_more_effort_the_exact_one(self):
        n, m = (50000, 10000) if cluster.FULL else (10000, 2000)
        annoy = (0.8466, 0.8526) if cluster.FULL else (0.8249, 0.8278)
        text = self.run_example("mnist.py", cluster.FASHION, "--train", n, "--test", m, "--picture", self.picture)
        self.report("mnist.py", text)
        images, labels, queries, answers = self.mnist(n, m)
        near = nearest(images, queries, 10)
        right = (labels[near[:, 0]] == answers).mean()
        at_100, at_10000, exact = self.accuracies(text)
        self.assertAlmostEqual(exact, right, delta=0.0011)  # a tie within rounding may go either way
        self.assertAlmostEqual(at_10000, right, delta=0.005)
        self.assertAlmostEqual(at_100, annoy[0], delta=0.01)
        self.assertAlmostEqual(at_10000, annoy[1], delta=0.01)
        with open(os.path.join(PACKAGE, "examples", "mnist.py"), encoding="utf-8") as f:
            recorded = ast.get_docstring(ast.parse(f.read()))
        for number in annoy:
            self.assertIn(f"{number:.4f}", recorded)

        shown = tiles(self.picture)
        self.assertEqual(shown.shape[:2], (6, 6))
        for row, query, ids in zip(shown, queries, near):
            inside = row[:, 1::3, 1::3, 0]  # a pixel of the image is 3 x 3 of the picture
            numpy.testing.assert_array_equal(inside[0, 1:-1, 1:-1], query.reshape(28, 28)[1:-1, 1:-1])  # it has a frame
            for tile in inside[1:3]:
                self.assertTrue((images[ids].reshape(-1, 28, 28) == tile).all(axis=(1, 2)).any())

    def test_mnist_runs_without_a_cluster_on_files_as_they_are(self):
        for kind, n in (("train", 300), ("t10k", 20)):
            for name, size, header in (("images-idx3", 784, 16), ("labels-idx1", 1, 8)):
                with gzip.open(f"{cluster.FASHION}/{kind}-{name}-ubyte.gz") as f, open(f"{self.folder}/{kind}-{name}-ubyte", "wb") as out:
                    data = f.read(header + n * size)
                    out.write(data[:4] + n.to_bytes(4, "big") + data[8:])
        text = self.run_example("mnist.py", self.folder, alone=True)
        images, labels, queries, answers = self.mnist(300, 20)
        self.assertIn("300 images of 784 pixels in 30 trees", text)
        self.assertAlmostEqual(self.accuracies(text)[2], (labels[nearest(images, queries, 1)[:, 0]] == answers).mean(), delta=1e-4)
        self.assertEqual(tiles(f"{self.folder}/mnist.png").shape[:2], (6, 6))

    # ---- CIFAR-10 ----

    def cifar(self, size):
        """Icons in the format of CIFAR-10: images uint8 [n x 32 x 32 x 3], labels, and the bytes of the file."""
        paths = icons(f"{size}x{size}")
        images = numpy.stack([numpy.asarray(on_white(p).resize((32, 32), Image.BOX)) for p in paths])
        labels = numpy.array([CATEGORIES.index(p.split("/")[-2]) for p in paths], numpy.uint8)
        return images, labels, numpy.hstack([labels[:, None], images.transpose(0, 3, 1, 2).reshape(len(paths), -1)]).tobytes()

    def test_cifar_tells_the_category_of_an_icon_as_exactly_as_can_be(self):
        parts = [self.cifar(size) for size in (24, 32, 48)]
        images, labels = (numpy.concatenate([part[i] for part in parts]) for i in (0, 1))
        test, answers, test_file = self.cifar(256)
        for name, data in (("test_batch", test_file), *((f"data_batch_{i}", part[2]) for i, part in enumerate(parts, 1))):
            with open(f"{self.folder}/{name}.bin", "wb") as f:
                f.write(data)
        with open(f"{self.folder}/batches.meta.txt", "w") as f:
            f.write("\n".join(CATEGORIES) + "\n\n")
        text = self.run_example("cifar10.py", self.folder, "--picture", self.picture)
        self.report("cifar10.py", text)
        near = nearest(images.reshape(len(images), -1), test.reshape(len(test), -1), 6)
        right = (labels[near[:, 0]] == answers).mean()
        self.assertGreater(right, 0.5)  # of ten
        at_100, at_10000 = self.accuracies(text)
        self.assertAlmostEqual(at_100, right, delta=0.01)
        self.assertAlmostEqual(at_10000, right, delta=0.005)
        shown = tiles(self.picture, 96)[:, :, 1::3, 1::3]
        self.assertEqual(shown.shape[:2], (6, 6))
        for row, query in zip(shown, range(0, len(test), len(test) // 6)):
            numpy.testing.assert_array_equal(row[0, 1:-1, 1:-1], test[query, 1:-1, 1:-1])
            for tile in row[1:]:
                self.assertTrue((images[near[query]] == tile).all(axis=(1, 2, 3)).any())

    def test_cifar_gives_the_numbers_of_mnist_for_the_same_images_in_its_format(self):
        # Three equal channels and a black margin change no cosine. A leaf holds up to 3,074: more images have trees of several leaves.
        images, labels, queries, answers = self.mnist(*((10000, 2000) if cluster.FULL else (3500, 500)))
        half = len(images) // 2
        for name, rows, kinds in (("data_batch_1", images[:half], labels[:half]), ("data_batch_2", images[half:], labels[half:]),
                                  ("test_batch", queries, answers)):
            channel = numpy.pad(rows.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2))).reshape(len(rows), -1)
            numpy.hstack([kinds[:, None], channel, channel, channel]).tofile(f"{self.folder}/{name}.bin")
        with open(f"{self.folder}/batches.meta.txt", "w") as f:
            f.write("\n".join("top trouser pullover dress coat sandal shirt sneaker bag boot".split()))
        text = self.run_example("cifar10.py", self.folder)
        self.report("cifar10.py", text)
        right = (labels[nearest(images, queries, 1)[:, 0]] == answers).mean()
        at_100, at_10000 = self.accuracies(text)
        self.assertAlmostEqual(at_100, right, delta=0.01)
        self.assertAlmostEqual(at_10000, right, delta=0.005)

    def test_cifar_says_which_files_it_wants(self):
        self.assertIn("data_batch_1.bin", self.run_example("cifar10.py", self.folder, check=2))

    # ---- perceptual hashes ----

    def noise(self, width, height):
        random = numpy.random.default_rng(cluster.SEED)
        return Image.fromarray(random.integers(0, 256, (height, width, 3), numpy.uint8))

    def text_of(self, bits):
        return "".join(map(str, bits))

    def test_average_and_difference_hash_are_as_defined(self):
        left = Image.new("L", (64, 32), 0)
        left.paste(255, (0, 0, 32, 32))
        self.assertEqual(self.text_of(image_hashes.average_hash(left)), "11110000" * 8)
        rising = Image.fromarray(numpy.tile(numpy.arange(0, 250, 2, dtype=numpy.uint8), (50, 1)))
        self.assertEqual(self.text_of(image_hashes.difference_hash(rising)), "1" * 64)
        self.assertEqual(self.text_of(image_hashes.difference_hash(rising.rotate(180))), "0" * 64)

    def test_perceptual_hash_is_the_sign_of_the_slow_waves_about_their_median(self):
        pixels = numpy.asarray(self.noise(90, 70).convert("L").resize((32, 32), Image.LANCZOS)).astype(float)
        wave = numpy.cos(numpy.pi / 32 * (numpy.arange(32) + 0.5) * numpy.arange(8)[:, None])
        waves = (wave @ pixels @ wave.T).ravel()
        middle = numpy.sort(waves)[31:33].mean()
        self.assertEqual(image_hashes.perceptual_hash(self.noise(90, 70)).tolist(), (waves > middle).astype(int).tolist())

    def test_wavelet_hash_is_the_low_band_of_a_haar_transform(self):
        band = numpy.asarray(self.noise(100, 70).convert("L").resize((64, 64), Image.LANCZOS)) / 255
        band -= band.mean()
        while len(band) > 8:
            band = (band[0::2] + band[1::2]) / 2 ** 0.5
            band = (band[:, 0::2] + band[:, 1::2]) / 2 ** 0.5
        self.assertEqual(image_hashes.wavelet_hash(self.noise(100, 70)).tolist(), (band > numpy.median(band)).astype(int).ravel().tolist())

    def test_colour_hash_is_as_defined(self):
        def of(*colours):
            image = Image.new("RGB", (8 * len(colours), 8))
            for i, colour in enumerate(colours):
                image.paste(colour, (8 * i, 0, 8 * i + 8, 8))
            return self.text_of(image_hashes.colour_hash(image))

        def bits(**places):
            return "".join(places.get(f"at{i}", "000") for i in range(14))
        black, white, red, green, faint_blue = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (128, 128, 255)
        self.assertEqual(of(black), bits(at0="111"))
        self.assertEqual(of(white), bits(at1="111"))
        self.assertEqual(of(red), bits(at8="111"))
        self.assertEqual(of(black, green), bits(at0="110", at10="111"))  # a half is 4 of 8, and 4 is written 110
        self.assertEqual(of(black, black, black, white, red, faint_blue, red, red), bits(at0="011", at1="001", at6="010", at8="110"))

    def test_similar_images_have_the_exact_distances_for_every_hash(self):
        text = self.run_example("similar_images.py", ICONS, "--query", "256x256/devices/camera-photo.png", "--picture", self.picture)
        self.report("similar_images.py", text)
        opened = {path: on_white(path) for path in icons("*")}
        paths, images = zip(*[(path, image) for path, image in opened.items() if min(image.size) >= 32])
        for name, bits in (("average", 64), ("difference", 64), ("perceptual", 64), ("wavelet", 64), ("colour", 42)):
            self.assertIn(f"{name}: {bits} bits, of {len(paths)} lists of 9 neighbours {len(paths)} have the exact distances", text)
            self.assertIn(f"{name}: {bits} bits, with exact search {len(paths)}\n", text)
        shown = tiles(self.picture)
        self.assertEqual(shown.shape[:2], (5, 10))
        tile = {path: self.tile_of(image) for path, image in zip(paths, images)}
        query = paths.index(f"{ICONS}/256x256/devices/camera-photo.png")
        for row, hash_of in zip(shown, image_hashes.HASHES.values()):
            hashes = numpy.array([hash_of(image) for image in images])
            distances = (hashes != hashes[query]).sum(axis=1)
            last = numpy.sort(distances)[8]
            numpy.testing.assert_array_equal(row[1], tile[paths[query]])
            seen = [[i for i in range(len(paths)) if distances[i] <= last and numpy.array_equal(tile[paths[i]], found)] for found in row[1:]]
            self.assertTrue(all(seen))
            self.assertEqual(sorted(min(distances[i] for i in same) for same in seen), sorted(distances)[:9])

    def tile_of(self, image):
        width, height = (round(TILE * side / max(image.size)) for side in image.size)
        tile = numpy.full((TILE, TILE, 3), 255, numpy.uint8)
        resized = image.resize((width, height), Image.LANCZOS if max(image.size) > TILE else Image.NEAREST)
        top, left = (TILE - height) // 2, (TILE - width) // 2
        tile[top:top + height, left:left + width] = numpy.asarray(resized)
        return tile

    def test_similar_images_says_what_is_missing(self):
        self.assertIn("no image of 32 pixels", self.run_example("similar_images.py", self.folder, check=2))
        self.assertIn("none of the images", self.run_example("similar_images.py", ICONS, "--query", "x.png", check=2))

    # ---- pictures of points ----

    def shadow(self, rows):
        """Where a picture may show the rows: pixels [n x 2], in each of the four ways that the plane can be turned over."""
        rows = rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
        points = (rows - rows.mean(axis=0)) @ numpy.linalg.eigh(numpy.cov(rows.T))[1][:, :-3:-1]
        for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            turned = points * signs
            share = (turned - turned.min(axis=0)) / (turned.max(axis=0) - turned.min(axis=0))
            yield numpy.rint([12, 72] + numpy.column_stack([share[:, 0], 1 - share[:, 1]]) * [640 - 1 - 24, 640 - 1 - 72 - 12]).astype(int)

    def points_shown(self, path, rows, colours):
        """The pixels of the rows in a picture. Each has its colour, or that of one which lies over it; few are under the rings of others."""
        pixels = numpy.asarray(Image.open(path).convert("RGB")).astype(int)
        self.assertEqual(pixels.shape, (640, 640, 3))
        for at in self.shadow(rows):
            near = abs(at[:, None] - at).max(axis=2) <= 6
            shown = pixels[at[:, 1], at[:, 0]]
            right = [(colours[near[i]] == shown[i]).all(axis=1).any() for i in range(len(rows))]
            ring = (shown == 0).all(axis=1) | (shown == 255).all(axis=1)
            if (right | ring).all() and ring.mean() < 0.1 and (shown == colours).all(axis=1).mean() > 0.6:
                return at, pixels
        self.fail("the points are not where they should be")

    def test_iris_gives_its_number_and_shows_each_flower_and_its_neighbour(self):
        text = self.run_example("iris.py", "--picture", self.picture)
        self.report("iris.py", text)
        accuracies = [float(x) for x in re.findall(r"accuracy ([\d.]+)", text)]
        self.assertEqual(len(accuracies), 3)
        for accuracy in accuracies:
            self.assertAlmostEqual(accuracy, 0.98, delta=0.01)
        X, y = load_iris(return_X_y=True)
        at, pixels = self.points_shown(self.picture, X, numpy.array([(31, 119, 180), (255, 127, 14), (44, 160, 44)])[y])
        train, test = next(StratifiedKFold(n_splits=3, shuffle=True, random_state=42).split(X, y))
        near = nearest(X[train], X[test], 1)[:, 0]
        middles = (at[test] + at[train[near]]) // 2
        drawn = [(pixels[y - 1:y + 2, x - 1:x + 2] == 120).all(axis=2).any() for x, y in middles[abs(at[test] - at[train[near]]).max(axis=1) > 20]]
        self.assertGreater(numpy.mean(drawn), 0.8)  # another point may lie over the middle of a line, and neighbours as near may be taken
        self.assertGreater(len(drawn), 10)

    # ---- scikit-plots ----

    def test_the_quick_start_prints_a_thousand_ids_nearest_first_and_leaves_nothing(self):
        for alone in (False, True):
            ids = ast.literal_eval(self.run_example("scikitplots_quick_start.py", alone=alone))
            chance = random.Random(0)
            rows = numpy.array([[chance.gauss(0, 1) for _ in range(40)] for _ in range(1000)])
            self.assertEqual(sorted(ids), list(range(1000)))
            rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
            cosines = (rows @ rows[0])[ids]
            self.assertEqual(ids[0], 0)
            self.assertTrue((cosines[:-1] >= cosines[1:] - 1e-6).all())
            colours = numpy.tile((160, 180, 210), (1000, 1))
            colours[ids[:11]] = (200, 30, 30)
            at, pixels = self.points_shown(f"{self.folder}/scikitplots_quick_start.png", rows, colours)
            self.assertTrue((pixels[at[0][1], at[0][0]] == (200, 30, 30)).all())


if __name__ == "__main__":
    cluster.run()
