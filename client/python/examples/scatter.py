"""The picture that the tutorials without images end with: all items as points, and lines from queries to their neighbours.

Vectors have more than two numbers, so what is seen is their shadow: their directions (two are near if the angle between them is small)
on the plane in which these differ most."""
import numpy
from PIL import Image, ImageDraw

SIDE, MARGIN, TOP, DOT, RING = 640, 12, 72, 3, 6  # pixels; the text is in the first TOP lines
WHITE, BLACK, LINE = (255, 255, 255), (0, 0, 0), (120, 120, 120)


def flattened(rows):
    """Points [n x 2]: the first two principal components of the rows at unit length."""
    rows = numpy.asarray(rows, float)
    rows = rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
    rows -= rows.mean(axis=0)
    return rows @ numpy.linalg.svd(rows, full_matrices=False)[2][:2].T


def places(points):
    """Their pixels [n x 2], from the left and from the top."""
    low, high = points.min(axis=0), points.max(axis=0)
    share = (points - low) / numpy.where(high > low, high - low, 1)
    share[:, 1] = 1 - share[:, 1]
    return numpy.rint([MARGIN, TOP] + share * [SIDE - 1 - 2 * MARGIN, SIDE - 1 - TOP - MARGIN]).astype(int)


def save(path, points, colours, lines, ringed, text):
    """Write a PNG. points: [n x 2]; colours: n tuples; lines: pairs of indices; ringed: those with a ring, drawn last; text: lines of it as
    (words, colour)."""
    picture = Image.new("RGB", (SIDE, SIDE), WHITE)
    draw = ImageDraw.Draw(picture)
    at = places(points).tolist()
    for a, b in lines:
        draw.line((*at[a], *at[b]), LINE)
    for i in [*(set(range(len(at))) - set(ringed)), *ringed]:
        x, y = at[i]
        if i in ringed:
            draw.ellipse((x - RING, y - RING, x + RING, y + RING), WHITE, BLACK)
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colours[i])
    for n, (words, colour) in enumerate(text):
        draw.text((MARGIN, 4 + 14 * n), words, colour)
    picture.save(path)
