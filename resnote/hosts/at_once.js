async function initialize({ model }) {
    const parts = await Promise.all(model.get("models").map(id => model.widget_manager.get_model(id)));
    model.on("msg:custom", values => {
        for (const part of parts) if (part.model_id in values) part.set_state({ value: values[part.model_id] });
    });
    model.send("taken");
}

export default { initialize };
