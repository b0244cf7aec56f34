"""Perceptual hashes of images: bits that change little when the picture changes little. Defined as in the package imagehash 4.3.

Each takes a PIL image and returns an array of 0 and 1: 64 of them, colour_hash 42. An image is made gray first, and resized then."""
import numpy
import scipy.fftpack
from PIL import Image

SIDE = 8
BLACK, GRAY, FAINT = 32, 85, 170  # intensity below which a pixel is black; saturation below which it is gray, or faint
HUE_BINS = numpy.linspace(0, 255, 7)


def gray(image, width, height):
    return numpy.asarray(image.convert("L").resize((width, height), Image.LANCZOS)).astype(int)


def bits(array):
    return array.astype(int).ravel()


def average_hash(image):
    """Which of 8 x 8 pixels are lighter than their mean."""
    pixels = gray(image, SIDE, SIDE)
    return bits(pixels > pixels.mean())


def difference_hash(image):
    """Which of 8 x 8 pixels are lighter than their left neighbour."""
    pixels = gray(image, SIDE + 1, SIDE)
    return bits(pixels[:, 1:] > pixels[:, :-1])


def perceptual_hash(image):
    """Which of the 8 x 8 slowest waves in 32 x 32 pixels (a cosine transform) are above their median."""
    waves = scipy.fftpack.dct(scipy.fftpack.dct(gray(image, 4 * SIDE, 4 * SIDE), axis=0), axis=1)[:SIDE, :SIDE]
    return bits(waves > numpy.median(waves))


def wavelet_hash(image):
    """Which of the 8 x 8 low frequencies of a Haar transform are above their median. The image is resized to the largest power of two;
    its mean, which is taken away there, does not matter, and what is left at 8 x 8 is the sum of each block of pixels."""
    scale = max(SIDE, 1 << (min(image.size).bit_length() - 1))
    block = scale // SIDE
    sums = gray(image, scale, scale).reshape(SIDE, block, SIDE, block).sum(axis=(1, 3))
    return bits(sums > numpy.median(sums))


def colour_hash(image):
    """14 shares of the pixels in 3 bits each: black, gray, then six hues of faint colours and six of bright ones."""
    hue, saturation, _ = numpy.asarray(image.convert("HSV")).reshape(-1, 3).T
    black = numpy.asarray(image.convert("L")).ravel() < BLACK
    coloured = ~black & (saturation >= GRAY)
    shares = [black.mean(), (~black & ~coloured).mean()]
    for group in (coloured & (saturation < FAINT), coloured & (saturation > FAINT)):  # exactly FAINT is in neither
        shares.extend(numpy.histogram(hue[group], HUE_BINS)[0] / max(1, coloured.sum()))
    values = [min(7, int(share * 8)) for share in shares]
    return bits(numpy.array([[v > 3, (v >> 1) % 4 > 0, v % 2 > 0] for v in values]))


HASHES = {"average": average_hash, "difference": difference_hash, "perceptual": perceptual_hash, "wavelet": wavelet_hash,
          "colour": colour_hash}
