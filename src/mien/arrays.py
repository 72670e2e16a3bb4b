"""Short names for the types of arrays; what shapes they have stands where they are used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
