"""The web page of `dehw serve`: its layout, and what each of its controls does. Needs Gradio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from dehw.commands.serve.opened import COLOURS, ERASE, KEEP, OpenDocument, OpenPage, read_strokes
from dehw.commands.serve.session import Session, Sessions
from dehw.errors import DehwError
from dehw.page.masks import BALANCED

FONTS = ("system-ui", "sans-serif")  # the visitor's own: no font is fetched
LOOK = {"theme": gr.themes.Default(font=FONTS, font_mono=("ui-monospace", "monospace")), "footer_links": []}
ABOUT = (
    "# dehw\nErases handwriting from exam pages. What you drop here goes to the computer that serves this page, to no "
    "other one, and is removed when you close the tab."
)
BRUSH = "Green keeps, blue erases; red is what was taken for handwriting. Draw, then erase again."
SLIDER = "0.5 is the usual measure; more erases fainter traces, less spares more of the page."
PROGRESS = gr.Progress()  # Gradio puts a run's own in its place
QUEUE = {"concurrency_id": "eraser", "concurrency_limit": 1}  # there is one Eraser

Drawn = dict[str, Any] | None  # what gr.ImageEditor gives


def page(sessions: Sessions) -> gr.Blocks:
    """The application over these sessions."""
    with gr.Blocks(title="dehw", analytics_enabled=False, fill_width=True) as app:
        gr.Markdown(ABOUT)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                drop = gr.File(label="Pages: pictures, TIFF, PDF", file_count="multiple", elem_id="drop", height=160)
                status = gr.Textbox(label="Status", interactive=False, lines=3, max_lines=12, elem_id="status")
                choice = _choice()
                sensitivity = gr.Slider(
                    0, 1, BALANCED, step=0.05, label="Sensitivity", info=SLIDER, elem_id="sensitivity"
                )
                again = gr.Button("Erase this page again", variant="primary", elem_id="again")
                every = gr.Button("Erase all pages again", elem_id="every")
                one = gr.DownloadButton("Download this file", interactive=False, elem_id="one")
                bundle = gr.DownloadButton("Download all files (zip)", interactive=False, elem_id="bundle")
                clear = gr.Button("Remove all files", elem_id="clear")
            with gr.Column(scale=3):
                with gr.Tab("Before and after"):
                    slider = gr.ImageSlider(
                        show_label=False, elem_id="slider", max_height=900, interactive=False, buttons=["fullscreen"]
                    )
                with gr.Tab("Mask and brush"):
                    gr.Markdown(BRUSH)
                    editor = _editor()
        desk = Desk(sessions)
        view = [status, choice, slider, editor, sensitivity, one, bundle]
        work = {"outputs": view, "show_progress_on": status, "api_visibility": "private", **QUEUE}
        drop.upload(desk.take, drop, **work).then(lambda: None, None, drop, api_visibility="private")
        again.click(desk.again, [sensitivity, editor], **work)
        every.click(desk.every, [sensitivity, editor], **work)
        quick = {"outputs": view, "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        choice.select(desk.choose, [sensitivity, editor], **quick)
        clear.click(desk.clear, None, **quick)
    app.unload(desk.leave)
    app.queue(max_size=sessions.limits.queue, api_open=False)
    app.sessions = sessions
    return app


def _choice() -> gr.Gallery:
    return gr.Gallery(
        label="Page",
        elem_id="choice",
        visible=False,
        columns=2,
        height=260,
        allow_preview=False,
        interactive=False,
        buttons=[],
    )


def _editor() -> gr.ImageEditor:
    colours = ["#{:02x}{:02x}{:02x}".format(*COLOURS[meaning]) for meaning in (KEEP, ERASE)]
    return gr.ImageEditor(
        show_label=False,
        elem_id="editor",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=16, colors=colours, default_color=colours[0], color_mode="fixed"),
        height=700,
    )


class Desk:
    """What the controls do; each method gives the new contents of the page's `view`."""

    def __init__(self, sessions: Sessions):
        self.sessions = sessions

    def take(self, files: list[str], request: gr.Request, progress: gr.Progress = PROGRESS) -> list:
        """Open files that were dropped, and erase them."""
        session = self.sessions.of(request.session_hash)
        added, problems = session.add([Path(file) for file in files])
        problems += erase(session, added, progress)
        session.look_at(added)
        return show(session, problems)

    def again(self, sensitivity: float, drawn: Drawn, request: gr.Request, progress: gr.Progress = PROGRESS) -> list:
        """Erase the page that is shown, as sensitivity and brush say now."""
        session = self._asked(sensitivity, drawn, request)
        return show(
            session, erase(session, [each for each in session.documents if session.page in each.pages], progress)
        )

    def every(self, sensitivity: float, drawn: Drawn, request: gr.Request, progress: gr.Progress = PROGRESS) -> list:
        """Erase all pages at this sensitivity, each with its own strokes."""
        session = self._asked(sensitivity, drawn, request)
        for each in session.pages:
            each.ask(sensitivity, each.strokes)
        return show(session, erase(session, session.documents, progress))

    def choose(self, sensitivity: float, drawn: Drawn, event: gr.SelectData, request: gr.Request) -> list:
        """Show another page; what was asked of the one before waits for its next run."""
        session = self._asked(sensitivity, drawn, request)
        session.shown = event.index
        return show(session)

    def clear(self, request: gr.Request) -> list:
        """Remove all of the visitor's files."""
        self.sessions.end(request.session_hash)
        return show(self.sessions.of(request.session_hash))

    def leave(self, request: gr.Request) -> None:
        """The visitor has closed the tab."""
        self.sessions.end(request.session_hash)

    def _asked(self, sensitivity: float, drawn: Drawn, request: gr.Request) -> Session:
        """The visitor's session, after its shown page was told what is asked of it."""
        session = self.sessions.of(request.session_hash)
        with told():
            session.page.ask(sensitivity, strokes_of(drawn))
        return session


@contextmanager
def told() -> Iterator[None]:
    """Errors that people can act on reach them as they are."""
    try:
        yield
    except DehwError as error:
        raise gr.Error(str(error), print_exception=False) from error


def erase(session: Session, opened: list[OpenDocument], progress: gr.Progress) -> list[str]:
    """Erase documents of a session behind a progress bar, and return what went wrong."""
    with told():
        return session.erase(opened, lambda share, words: progress(share, words)) if opened else []


def strokes_of(drawn: Drawn) -> np.ndarray | None:
    """What is drawn in the editor now, see OpenPage.strokes."""
    layers = [read_strokes(layer) for layer in drawn["layers"]] if drawn else []
    return layers[0] if layers else None


def show(session: Session, problems: Sequence[str] = ()) -> list:
    """The contents of the page's `view` for a session."""
    pages = session.pages
    if not pages:
        off = gr.DownloadButton(value=None, interactive=False)
        return ["\n".join(problems), gr.Gallery([], visible=False), None, None, BALANCED, off, off]
    shown = session.page
    document = next(each for each in session.documents if shown in each.pages)
    small = [(each.picture("small"), each.name) for each in pages]
    drawing = shown.drawing()
    return [
        "\n".join([*problems, summary(shown)]),
        gr.Gallery(small, visible=len(pages) > 1, selected_index=session.shown),
        (shown.picture("before"), shown.picture("after")),
        {"background": shown.picture("found"), "layers": [drawing] if drawing else [], "composite": None},
        shown.sensitivity,
        _download(document.job.target),
        _download(session.zip),
    ]


def summary(shown: OpenPage) -> str:
    """One line about the page that is shown."""
    outcome = shown.outcome
    if outcome is None or outcome.status == "failed":
        return f"{shown.name}: not erased."
    found = f"{outcome.share:.1%} of it erased" if outcome.status == "erased" else "no handwriting found"
    notes = "".join(f" Note: {warning}." for warning in outcome.warnings)
    return f"{shown.name}: {found}, in {outcome.seconds:.1f} s.{notes}"


def _download(path: Path) -> gr.DownloadButton:
    there = path.exists()
    return gr.DownloadButton(value=str(path) if there else None, interactive=there)
