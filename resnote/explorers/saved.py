"""The file keeps the still of an explorer or a question, and no view of a widget whose kernel will be gone.

JupyterLab prefers the view of a widget to the still beside it, and saves both. In a notebook that is opened again the
view would read "Error displaying widget: model not found".
"""

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

    _esm = """
    const VIEW = "TYPE", SHOWN = Symbol.for("resnote: widgets whose still is saved");

    function without(output, shown) {
        const { [VIEW]: view, ...data } = output.data ?? {};
        return shown.has(view?.model_id) ? { ...output, data, metadata: { ...output.metadata, [VIEW]: view } } : output;
    }

    function saveStills(notebook) {
        const shown = notebook[SHOWN] = new Set(), toJSON = notebook.toJSON;
        notebook.toJSON = function () {     // which is what is saved
            const content = toJSON.call(this);
            return { ...content, cells: content.cells.map(cell => cell.outputs
                ? { ...cell, outputs: cell.outputs.map(output => without(output, shown)) } : cell) };
        };
    }

    async function initialize({ model }) {
        const context = model.widget_manager?.context, shown = model.get("shown");
        if (!context?.model?.toJSON) return;
        await context.ready;
        if (!context.model[SHOWN]) saveStills(context.model);
        context.model[SHOWN].add(shown);
        for (const { outputs } of context.model.cells)
            for (let n = 0; n < (outputs?.length ?? 0); n++) {
                const { [VIEW]: view, ...metadata } = outputs.get(n).metadata ?? {};
                if (view?.model_id !== shown) continue;
                const output = outputs.get(n).toJSON();
                outputs.set(n, { ...output, data: { ...output.data, [VIEW]: view }, metadata });
            }
    }

    export default { initialize };
    """.replace("TYPE", VIEW)


def bundle(widget, text: str, still: str, **kwargs) -> dict[str, object]:
    """A mime bundle: the widget where there is a kernel, and for where there is none its words and its still, as HTML."""
    live = widget._repr_mimebundle_(**kwargs) or {}
    return {"text/plain": text, "text/html": still} | ({VIEW: live[VIEW]} if VIEW in live else {})
