"""Pictures in: any source becomes one array, uint8 RGB (H, W, 3), or an ``InputError``."""

from mien.images.files import IMAGE_SUFFIXES, encode, list_images, save_image
from mien.images.reading import ImageSource, OpenedImage, decode, open_image
from mien.images.source import ImageLimits

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageLimits",
    "ImageSource",
    "OpenedImage",
    "decode",
    "encode",
    "list_images",
    "open_image",
    "save_image",
]
