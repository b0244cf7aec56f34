"""The photos and paintings of Debian's wallpaper packages, each once, largest first: several packages carry one picture in
a dozen sizes, and its copies would be each other's neighbours."""
import cv2
import numpy as np

import sets

PACKAGES = ["plasma-workspace-wallpapers", "mate-backgrounds", "gnome-backgrounds", "ukui-wallpapers", "lomiri-wallpapers",
            "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "sway-backgrounds"]
SIDE_MIN = 500   # smaller pictures are icons and previews
ALIKE = 0.95     # correlation of two 16 x 16 thumbnails from which pictures count as one


def thumbnail(picture):
    small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64)
    small -= small.mean()
    return small / (np.linalg.norm(small) + 1e-9)


def pictures(side_max):
    """Yields (name, grey picture), scaled down to side_max at most."""
    cv2.setNumThreads(1)
    found = []
    for package in PACKAGES:
        for path in sorted(sets.unpacked(package).rglob("*")):
            if path.suffix in (".jpg", ".png", ".webp") and path.is_file() and not path.is_symlink():
                picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                if picture is not None and min(picture.shape) >= SIDE_MIN:
                    found.append((-picture.size, str(path), thumbnail(picture)))
    seen = []
    for _, path, small in sorted(found, key=lambda f: f[:2]):
        if any((small * other).sum() > ALIKE for other in seen):
            continue
        seen.append(small)
        picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        scale = side_max / max(picture.shape)
        if scale < 1:
            picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield path.rsplit("/", 1)[1], picture
