"""The web page: photo, camera and clip in a browser, on one's own machine or as a Space (demo).

:func:`run_demo` serves the page until it is stopped; :func:`write_space` writes a folder that the
Hugging Face Hub runs as a Space. Gradio is imported only when the page is built.
"""

from typing import TYPE_CHECKING

from mien import lazy_names

if TYPE_CHECKING:
    from mien.demo.config import DemoConfig
    from mien.demo.server import open_demo, run_demo
    from mien.demo.space import write_space

__getattr__ = lazy_names(
    __name__,
    {
        "mien.demo.config": ["DemoConfig"],
        "mien.demo.server": ["open_demo", "run_demo"],
        "mien.demo.space": ["write_space"],
    },
)

__all__ = ["DemoConfig", "open_demo", "run_demo", "write_space"]
