"""The picture that the image tutorials end with: in each row a query and its neighbours, each with a line of text."""
from PIL import Image, ImageDraw

TEXT, GAP = 14, 6  # pixels
WHITE, BLACK, FRAME = (255, 255, 255), (0, 0, 0), (200, 30, 30)


def save(path, rows, size=84):
    """Write a PNG. rows: lists of (image, text); image: a PIL image, or an array of uint8 [h x w] or [h x w x 3]. The first of each
    row is the query, which gets a frame. size: of an image, in pixels."""
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (size + GAP) + GAP, len(rows) * (size + TEXT + GAP) + GAP), WHITE)
    draw = ImageDraw.Draw(sheet)
    for y, row in enumerate(rows):
        for x, (image, text) in enumerate(row):
            left, top = GAP + x * (size + GAP), GAP + y * (size + TEXT + GAP)
            sheet.paste(tile(image, size), (left, top))
            draw.text((left, top + size + 1), text, BLACK)
            if x == 0:
                draw.rectangle((left - 2, top - 2, left + size + 1, top + size + 1), outline=FRAME, width=2)
    sheet.save(path)


def tile(image, size):
    """The image on white, as large as it fits a square."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image = image.convert("RGBA")
    scale = size / max(image.size)
    image = image.resize([max(1, round(n * scale)) for n in image.size], Image.LANCZOS if scale < 1 else Image.NEAREST)
    square = Image.new("RGB", (size, size), WHITE)
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2), image)
    return square
