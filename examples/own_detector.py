"""Find faces with a detector of your own: any object with a method ``detect``."""

import mien
from mien.detectors import Detections


class Middle:
    def detect(self, image_rgb, **_):
        height, width = image_rgb.shape[:2]
        return Detections([[width / 3, height / 8, width / 1.7, height / 2.6]], [1.0])


print(mien.predict("photo.jpg", detector=Middle()))
