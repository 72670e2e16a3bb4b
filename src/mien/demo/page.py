"""The page itself: what stands where. It holds no logic; see :mod:`mien.demo.handlers`."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gradio as gr

from mien.demo import about, words
from mien.demo.handlers import Handlers

if TYPE_CHECKING:
    from mien.demo.config import DemoConfig
    from mien.demo.keeping import Keeper
    from mien.demo.models import Model

#: Seconds between two frames of a camera, and after which a visitor makes room for the next.
_FRAME_S, LIVE_S = 0.1, 120
#: Visitors who may wait in line.
_LINE = 64
_STRENGTH = "(v) => { document.documentElement.style.setProperty('--mien-strength', v / 100); }"
_EACH = "each face's own"


def make_page(config: DemoConfig, models: dict[str, Model], keeper: Keeper) -> Any:
    """Builds the page.

    Args:
        config: The settings.
        models: The models by name; the first is chosen at the start.
        keeper: The private folder and the visits.

    Returns:
        A ``gradio.Blocks``; :func:`launch_options` are for its ``launch``.
    """
    handlers = Handlers(config, models, keeper)
    with gr.Blocks(title="mien: what a face looks like", analytics_enabled=False) as page:
        gr.Markdown(about.HEAD)
        model = gr.Dropdown(
            list(models), value=next(iter(models)), label="Model", visible=len(models) > 1,
            elem_id="mien-model",
        )  # fmt: skip
        with gr.Tabs():
            with gr.Tab("Photo"):
                _photo_tab(handlers, model)
            with gr.Tab("Camera"):
                _live_tab(handlers, model)
            with gr.Tab("Clip"):
                _clip_tab(handlers, model)
            with gr.Tab("Limits"):
                gr.Markdown(about.LIMITS + about.model_table(models), elem_classes="mien-limits")
        page.unload(handlers.leave)
    return page.queue(max_size=_LINE, default_concurrency_limit=config.concurrency)


def launch_options(config: DemoConfig) -> dict[str, Any]:
    """Returns the arguments of ``Blocks.launch``: nothing recorded, nothing fetched elsewhere."""
    here = files("mien.demo")
    system = [gr.themes.Font(name) for name in ("system-ui", "sans-serif")]
    mono = [gr.themes.Font(name) for name in ("ui-monospace", "monospace")]
    theme = gr.themes.Default(
        primary_hue="indigo", neutral_hue="slate", font=system, font_mono=mono
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
    )  # fmt: skip
    return {
        "server_name": config.host, "server_port": config.port, "share": config.share,
        "max_file_size": config.max_bytes, "theme": theme,
        "css": here.joinpath("page.css").read_text(encoding="utf-8"),
        "js": here.joinpath("page.js").read_text(encoding="utf-8"),
        "footer_links": [], "run_history": False, "enable_monitoring": False, "ssr_mode": False,
        "pwa": False, "mcp_server": False, "quiet": True, "inbrowser": False, "inline": False,
    }  # fmt: skip


def _photo_tab(handlers: Handlers, model: Any) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = gr.Image(
                label="Your photo: upload, paste, or take one", height=300,
                sources=["upload", "webcam", "clipboard"], buttons=[], elem_id="mien-photo",
                alt_text="The photo that you sent",
            )  # fmt: skip
            example = gr.Button("Try the example photo", variant="primary", elem_id="mien-example")
            explain = gr.Checkbox(label="Show what the model looked at", elem_id="mien-explain")
            label = gr.Dropdown(
                _label_choices(handlers, None), value="", label="Explain which expression",
                visible=False, elem_id="mien-label",
            )  # fmt: skip
            strength = gr.Slider(
                0, 100, value=80, step=5, label="Strength of the map, percent", visible=False,
                elem_id="mien-strength",
            )  # fmt: skip
            compare = gr.Checkbox(
                label="Compare all models", visible=len(handlers.models) > 1, elem_id="mien-compare"
            )
        with gr.Column(scale=3, min_width=300):
            status = gr.HTML(
                words.status("Send a photo, or try the example."), elem_id="mien-photo-status"
            )
            view = gr.HTML(elem_id="mien-photo-view")
    cards = gr.HTML(elem_id="mien-photo-cards")
    table = gr.HTML(elem_id="mien-photo-compare")
    with gr.Accordion("The answer as JSON", open=False):
        code = gr.Code(label="JSON, as the library gives it", language="json", interactive=False)
    outputs = [status, view, cards, table, code]
    controls = [model, label, explain, compare]
    calls: dict[str, Any] = {
        "outputs": outputs, "preprocess": False, "api_visibility": "private",
        "concurrency_id": "photo", "concurrency_limit": handlers.config.concurrency,
        "show_progress_on": [status],
    }  # fmt: skip
    photo.input(handlers.new_photo, [photo, *controls], **calls)
    example.click(handlers.example_photo, controls, **calls)
    for control in (label, explain, compare, model):
        control.input(handlers.same_photo, controls, **calls)
    explain.input(
        lambda shown: (gr.Dropdown(visible=shown), gr.Slider(visible=shown)),
        [explain], [label, strength], api_visibility="private", queue=False,
    )  # fmt: skip
    model.input(
        lambda name, value: _labels_of(handlers, name, value),
        [model, label], [label], api_visibility="private", queue=False,
    )  # fmt: skip
    strength.input(None, [strength], None, js=_STRENGTH)
    _program_door(handlers, photo, model)


def _program_door(handlers: Handlers, photo: Any, model: Any) -> None:
    """Adds what ``gradio_client`` calls as ``/predict``."""
    answer = gr.JSON(visible=False)
    gr.Button(visible=False).click(
        handlers.predict, [photo, model], [answer], api_name="predict", preprocess=False,
        concurrency_id="photo", concurrency_limit=handlers.config.concurrency,
    )  # fmt: skip


def _live_tab(handlers: Handlers, model: Any) -> None:
    if not _reads_clips():
        gr.Markdown(about.NO_CLIPS)
        return
    gr.Markdown(about.live(LIVE_S))
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            camera = gr.Image(
                label="Your camera", sources=["webcam"], streaming=True, height=300, buttons=[],
                elem_id="mien-camera",
            )  # fmt: skip
        with gr.Column(scale=3, min_width=300):
            view = gr.HTML(elem_id="mien-live-view")
    camera.stream(
        handlers.frame, [camera, model], [view], preprocess=False, stream_every=_FRAME_S,
        time_limit=LIVE_S, show_progress="hidden", api_visibility="private",
        concurrency_id="camera", concurrency_limit=handlers.config.concurrency,
    )  # fmt: skip


def _clip_tab(handlers: Handlers, model: Any) -> None:
    if not _reads_clips():
        gr.Markdown(about.NO_CLIPS)
        return
    gr.Markdown(about.clips(handlers.config))
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            clip = gr.Video(
                label="Your clip: upload, or record one", sources=["upload", "webcam"], height=300,
                buttons=[], elem_id="mien-clip",
            )  # fmt: skip
            read = gr.Button("Read the clip", variant="primary", elem_id="mien-clip-read")
        with gr.Column(scale=3, min_width=300):
            status = gr.HTML(words.status("Choose a clip."), elem_id="mien-clip-status")
            shown = gr.Video(
                label="The clip with boxes", interactive=False, buttons=["download"],
                elem_id="mien-clip-shown",
            )  # fmt: skip
    view = gr.HTML(elem_id="mien-clip-view")
    with gr.Accordion("The summary as JSON", open=False):
        code = gr.Code(label="JSON, as the library gives it", language="json", interactive=False)
    read.click(
        handlers.clip, [clip, model], [status, shown, view, code], preprocess=False,
        api_visibility="private", concurrency_id="clip", show_progress_on=[status],
        concurrency_limit=handlers.config.concurrency,
    )  # fmt: skip


def _reads_clips() -> bool:
    """Whether the video extra is installed, which tracks the faces of cameras, too."""
    return all(find_spec(name) is not None for name in ("av", "matplotlib", "scipy"))


def _labels_of(handlers: Handlers, name: str, value: str) -> Any:
    """Returns the choice of labels of another model; the one chosen stays where it is known."""
    choices = _label_choices(handlers, name)
    return gr.Dropdown(choices=choices, value=value if (value, value) in choices else "")


def _label_choices(handlers: Handlers, name: str | None) -> list[tuple[str, str]]:
    models = handlers.models
    model = models.get(name or "") or next(iter(models.values()))
    return [(_EACH, ""), *((label, label) for label in model.recognizer.labels)]
