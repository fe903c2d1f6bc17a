const VIEW = "application/vnd.jupyter.widget-view+json", SHOWN = Symbol.for("resnote: widgets whose still is saved");

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
