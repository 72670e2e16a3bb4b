"""Read a folder of photos into one table (extra ``pandas``)."""

import mien
from mien.images import list_images
from mien.results import to_frame

results = mien.predict(list_images("photos"))
table = to_frame(results)
print(table.groupby("emotion")["confidence"].agg(["count", "mean"]))
