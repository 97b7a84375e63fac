"""Writes pillow.json: what Pillow makes of images, for test/vectors/image.test.ts. Needs Pillow alone:

    python3 -m venv .venv && .venv/bin/pip install pillow==11.3.0 && .venv/bin/python test/vectors/image/make.py

Pillow 13 takes columns before rows where an image grows across and shrinks down, which changes some values by one.
"""

import base64
import json
import pathlib

import PIL
from PIL import Image

CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


def noise(seed, length):
    """Bytes that the test makes in the same way: the upper byte of a linear congruential generator."""
    state, values = seed, bytearray()
    for _ in range(length):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return bytes(values)


def source(mode, size, seed):
    return Image.frombytes(mode, size, noise(seed, size[0] * size[1] * CHANNELS[mode]))


def resize(image, size):
    return image.resize(size, Image.Resampling.BILINEAR)


def torchvision(image, shorter, size):
    """`Resize(shorter)` and `CenterCrop(size)` of torchvision.transforms, for Pillow's images."""
    width, height = image.size
    short, long = sorted(image.size)
    longer = int(shorter * long / short)
    image = resize(image, (shorter, longer) if width <= height else (longer, shorter))
    left = int(round((image.size[0] - size) / 2.0))
    top = int(round((image.size[1] - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def over(image, color):
    whole = Image.new("RGB", image.size, color)
    whole.paste(image, mask=image.getchannel("A"))
    return whole


CASES = [
    *[
        ({"mode": mode, "width": w, "height": h}, {"size": [height, width]}, lambda image, s=(width, height): resize(image, s))
        for mode, w, h, width, height in [
            ("RGB", 13, 7, 5, 4),
            ("RGB", 7, 13, 20, 9),
            ("RGB", 31, 17, 31, 5),
            ("RGB", 31, 17, 9, 17),
            ("RGB", 16, 16, 16, 16),
            ("RGB", 1, 1, 3, 3),
            ("RGB", 2, 2, 7, 7),
            ("RGB", 640, 427, 24, 24),
            ("RGB", 100, 3, 1, 1),
            ("RGB", 3, 2000, 3, 2),
            ("L", 23, 29, 8, 8),
            ("L", 8, 8, 28, 28),
        ]
    ],
    *[
        (
            {"mode": "RGB", "width": w, "height": h},
            {"size": size, "fit": "cover", "shorterSide": shorter},
            lambda image, a=(shorter, size): torchvision(image, *a),
        )
        for w, h, shorter, size in [
            (64, 48, 16, 14),
            (48, 64, 16, 14),
            (61, 47, 20, 15),
            (47, 61, 19, 16),
            (33, 33, 18, 15),
            (101, 40, 17, 17),
            (10, 9, 24, 21),
        ]
    ],
    *[
        ({"mode": mode, "width": 12, "height": 10}, {"size": [5, 6], "color": "GRAY"}, lambda image: resize(image.convert("L"), (6, 5)))
        for mode in CHANNELS
    ],
    ({"mode": "L", "width": 6, "height": 5}, {"size": 4}, lambda image: resize(image.convert("RGB"), (4, 4))),
    ({"mode": "RGBA", "width": 12, "height": 10}, {"size": [5, 6]}, lambda image: resize(image.convert("RGB"), (6, 5))),
    (
        {"mode": "RGBA", "width": 12, "height": 10},
        {"size": [5, 6], "background": [255, 128, 3]},
        lambda image: resize(over(image, (255, 128, 3)), (6, 5)),
    ),
]

vectors = []
for number, (image, options, make) in enumerate(CASES):
    made = make(source(image["mode"], (image["width"], image["height"]), number))
    color = {} if made.mode == "RGB" or "color" in options else {"color": "GRAY"}
    channels, data = CHANNELS[image["mode"]], base64.b64encode(made.tobytes()).decode()
    vectors.append({**image, "channels": channels, "seed": number, "options": {**options, **color}, "result": data})

lines = ",\n".join(json.dumps(vector) for vector in vectors)
path = pathlib.Path(__file__).with_name("pillow.json")
path.write_text('{"pillow": "%s", "vectors": [\n%s\n]}\n' % (PIL.__version__, lines))
