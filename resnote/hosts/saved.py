"""The file keeps the still of an explorer or a question, and no view of a widget whose kernel will be gone.

JupyterLab prefers the view of a widget to the still beside it, and saves both. In a notebook that is opened again the
view would read "Error displaying widget: model not found".
"""

from pathlib import Path

import anywidget
from traitlets import Unicode

VIEW = "application/vnd.jupyter.widget-view+json"


class KeepsStill(anywidget.AnyWidget):
    """Shows nothing; in JupyterLab and Notebook 7, keeps the view of one widget out of the saved file.

    The view goes into the output's metadata, where nothing draws it. When the page is loaded anew while the kernel
    runs, the widget is there again, and so its view goes back. In other front ends the file is saved as ever.

    Parameters
    ----------
    shown : model id of the widget
    """

    shown = Unicode().tag(sync=True)

    _esm = Path(__file__).with_name("saved.js").read_text(encoding="utf-8")


def bundle(widget, text: str, still: str, **kwargs) -> dict[str, object]:
    """A mime bundle: the widget where there is a kernel, and for where there is none its words and its still, as HTML."""
    live = widget._repr_mimebundle_(**kwargs) or {}
    return {"text/plain": text, "text/html": still} | ({VIEW: live[VIEW]} if VIEW in live else {})
