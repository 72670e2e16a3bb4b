"""The page itself: what stands where. It holds no logic; see :mod:`mien.demo.handlers`."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import gradio as gr

from mien.demo import views
from mien.demo.handlers import WAITING, Handlers

if TYPE_CHECKING:
    from mien.demo.config import DemoConfig
    from mien.demo.photo import Model
    from mien.demo.uploads import UploadStore

#: Seconds between two frames of a camera, and after which a visitor makes room for the next.
_FRAME_S, LIVE_S = 0.1, 120
#: Visitors who may wait in line.
_LINE = 64
_STRENGTH = "(v) => { document.documentElement.style.setProperty('--mien-strength', v / 100); }"
_EACH = "each face's own"
_NO_CLIPS = """Cameras and clips need an extra that this installation lacks. Type
`pip install "mien[demo,video]"` and start the page again."""
_LIVE = f"""Turn the camera on and press **Record**. The latest picture is read; after
{LIVE_S // 60} minutes it stops, so that others get their turn. Browsers open cameras only on this
computer or under https."""


def make_page(config: DemoConfig, models: dict[str, Model], uploads: UploadStore) -> Any:
    """Returns the page, a ``gradio.Blocks`` that :func:`launch_options` are for."""
    handlers = Handlers(config, models, uploads)
    # The video extra tracks the faces of cameras, too.
    has_video = all(find_spec(name) is not None for name in ("av", "matplotlib", "scipy"))
    with gr.Blocks(title="mien: what a face looks like", analytics_enabled=False) as page:
        gr.HTML(views.intro(), elem_id="mien-intro")
        model = gr.Dropdown(
            list(models), value=next(iter(models)), label="Model", visible=len(models) > 1,
            elem_id="mien-model",
        )  # fmt: skip
        with gr.Tabs():
            with gr.Tab("Photo"):
                _photo_tab(handlers, model)
            for name, fill in (("Camera", _live_tab), ("Clip", _clip_tab)):
                with gr.Tab(name):
                    if has_video:
                        fill(handlers, model)
                    else:
                        gr.Markdown(_NO_CLIPS)
            with gr.Tab("Limits"):
                gr.Markdown(views.limits(models), elem_classes="mien-limits")
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
    models = handlers.models
    with gr.Row(elem_classes="mien-ways"):
        # The field is emptied once its photo is read: the one below, with the boxes, is enough.
        photo = gr.Image(
            label="Your photo: upload, paste, or take one", height=150, min_width=240, scale=3,
            sources=["upload", "webcam", "clipboard"], buttons=[], elem_id="mien-photo",
            alt_text="The photo that you sent",
        )  # fmt: skip
        example = gr.Button(
            "Try the example photo", variant="primary", elem_id="mien-example", scale=1,
            min_width=160,
        )  # fmt: skip
    status = gr.HTML(WAITING, elem_id="mien-photo-status")
    with gr.Row(elem_classes="mien-answer"):
        with gr.Column(scale=3, min_width=300, elem_classes="mien-pinned"):
            view = gr.HTML(elem_id="mien-photo-view")
            explain = gr.Checkbox(label="Show what the model looked at", elem_id="mien-explain")
            label = gr.Dropdown(
                _label_choices(models, None), value="", label="Explain which expression",
                visible=False, elem_id="mien-label",
            )  # fmt: skip
            strength = gr.Slider(
                0, 100, value=80, step=5, label="Strength of the map, percent", visible=False,
                elem_id="mien-strength",
            )  # fmt: skip
            compare = gr.Checkbox(
                label="Compare all models", visible=len(models) > 1, elem_id="mien-compare"
            )
        with gr.Column(scale=2, min_width=300):
            cards = gr.HTML(elem_id="mien-photo-cards")
    table = gr.HTML(elem_id="mien-photo-compare")
    outputs = [photo, status, view, cards, table, _json("The answer as JSON")]
    controls = [label, explain, compare, model]
    calls = _calls(handlers, "photo", status)
    photo.input(handlers.new_photo, {photo, *controls}, outputs, **calls)
    example.click(handlers.example_photo, set(controls), outputs, **calls)
    for control in controls:
        control.input(handlers.same_photo, set(controls), outputs, **calls)
    explain.input(
        lambda shown: (gr.Dropdown(visible=shown), gr.Slider(visible=shown)),
        [explain], [label, strength], api_visibility="private", queue=False,
    )  # fmt: skip
    model.input(
        lambda name, value: _labels_of(models, name, value),
        [model, label], [label], api_visibility="private", queue=False,
    )  # fmt: skip
    strength.input(None, [strength], None, js=_STRENGTH)
    # What gradio_client calls as /predict.
    calls = {**_calls(handlers, "photo"), "api_visibility": "public", "api_name": "predict"}
    answer = gr.JSON(visible=False)
    gr.Button(visible=False).click(handlers.predict, [photo, model], [answer], **calls)


def _live_tab(handlers: Handlers, model: Any) -> None:
    gr.Markdown(_LIVE)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            camera = gr.Image(
                label="Your camera", sources=["webcam"], streaming=True, height=220, buttons=[],
                elem_id="mien-camera",
            )  # fmt: skip
        with gr.Column(scale=3, min_width=300):
            view = gr.HTML(elem_id="mien-live-view")
    camera.stream(
        handlers.frame, [camera, model], [view], stream_every=_FRAME_S, time_limit=LIVE_S,
        show_progress="hidden", **_calls(handlers, "camera"),
    )  # fmt: skip


def _clip_tab(handlers: Handlers, model: Any) -> None:
    config = handlers.config
    gr.Markdown(
        f"Up to {config.max_seconds:g} seconds and {config.max_mb:g} MB. You get the clip with "
        "boxes, a timeline of each face, and how much of the time it looked like what."
    )
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            clip = gr.Video(
                label="Your clip: upload, or record one", sources=["upload", "webcam"], height=300,
                buttons=[], elem_id="mien-clip",
            )  # fmt: skip
            read = gr.Button("Read the clip", variant="primary", elem_id="mien-clip-read")
        with gr.Column(scale=3, min_width=300):
            status = gr.HTML(views.status("Choose a clip."), elem_id="mien-clip-status")
            shown = gr.Video(
                label="The clip with boxes", interactive=False, buttons=["download"],
                elem_id="mien-clip-shown", visible=False,
            )  # fmt: skip
    view = gr.HTML(elem_id="mien-clip-view")
    outputs = [status, shown, view, _json("The summary as JSON")]
    read.click(handlers.clip, [clip, model], outputs, **_calls(handlers, "clip", status))


def _calls(handlers: Handlers, kind: str, *progress: Any) -> dict[str, Any]:
    """Returns what events have in common: the inputs as they came, few of a kind at once."""
    calls = {"preprocess": False, "api_visibility": "private", "concurrency_id": kind}
    calls |= {"show_progress_on": list(progress)} if progress else {}
    return {**calls, "concurrency_limit": handlers.config.concurrency}


def _json(title: str) -> Any:
    with gr.Accordion(title, open=False):
        return gr.Code(label="JSON, as the library gives it", language="json", interactive=False)


def _labels_of(models: dict[str, Model], name: str, value: str) -> Any:
    """Returns the choice of labels of another model; the one chosen stays where it is known."""
    choices = _label_choices(models, name)
    return gr.Dropdown(choices=choices, value=value if (value, value) in choices else "")


def _label_choices(models: dict[str, Model], name: str | None) -> list[tuple[str, str]]:
    model = models.get(name or "") or next(iter(models.values()))
    return [(_EACH, ""), *((label, label) for label in model.recognizer.labels)]
