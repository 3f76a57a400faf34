from __future__ import annotations

import numpy as np
import pytest

from cyclegan_desktop.picture_image import image_of


def test_a_picture_keeps_its_pixels_and_owns_them():
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    image = image_of(picture[:, ::-1])
    expected = picture[:, ::-1].copy()
    picture[:] = 0
    shown = [[image.pixelColor(x, y).toTuple()[:3] for x in range(7)] for y in range(5)]
    np.testing.assert_array_equal(np.array(shown), expected)


@pytest.mark.parametrize("picture", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_other_arrays_are_refused_by_name(picture):
    with pytest.raises(ValueError, match="uint8, not"):
        image_of(picture)
