"""The Human Emotions Dataset of Kaggle (``hes:DIR``).

Its archive unpacks to ``Emotions Dataset/Emotions Dataset/{train,test}/{angry,happy,sad}/``. Many
files are copies that were made before the data was split (``2801.jpg_rotation_1.jpg``), so copies
of one face are in train and in test.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from mien.data.readers.folder import read_folder
from mien.data.registry import ReadRequest, register_reader
from mien.labels import HES3

if TYPE_CHECKING:
    from mien.data.manifest import Manifest


@register_reader("hes", options=("dedupe",))
def read_hes(request: ReadRequest) -> Manifest:
    """Reads ``hes:DIR``: the unpacked archive, or any folder inside it that holds ``train``.

    Labels are ``hes3``; groups are the source pictures, the name before ``.jpg_``. A share of train
    becomes valid, whole groups at a time. Between train and test the groups are mixed by the
    archive itself: ``mien data split`` makes splits without that leak.

    Options: ``dedupe=true`` removes from train what is also in test.

    Raises:
        DataError: If there are no pictures, or a folder is none of the three labels.
        ConfigError: If other labels are wanted.
    """
    return read_folder(dataclasses.replace(request, labels=request.expect(HES3)))
