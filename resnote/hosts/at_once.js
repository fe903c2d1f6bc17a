async function initialize({ model }) {
    const parts = new Map();
    for (const id of model.get("models")) parts.set(id, await model.widget_manager?.get_model(id));
    if (![...parts.values()].every(part => part?.set_state)) return;
    // set_state: as a message from the kernel to the part itself would.
    model.on("msg:custom", values => {
        for (const [id, value] of Object.entries(values)) parts.get(id).set_state({ value });
    });
    model.send("taken");
}

export default { initialize };
