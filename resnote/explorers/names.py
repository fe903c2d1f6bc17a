"""What a screen reader is told of an explorer, which ipywidgets leaves to the eye.

The name of a slider stands beside its track, and nothing ties the two together: its handle would be read as
"slider, 3", a chosen value as its number in the list, and a preset as a button that is never pressed.
"""

import anywidget

EXPLORER = "resnote-explorer"    # classes: the whole explorer,
GROUP = "resnote-group"          # a column whose heading, in bold, belongs to its controls' names,
STEPS = "resnote-steps"          # a slider over chosen values: its readout is no place to type, whatever it looks like,
REGION = "resnote-region"        # and what is read out when it changes; it stays while its content is replaced


class ControlNames(anywidget.AnyWidget):
    """Shows nothing; names every control of the explorer that it lies in."""

    _esm = """
    const set = (element, name, value) => element?.getAttribute(name) !== value && element?.setAttribute(name, value);

    function tell(explorer) {
        for (const control of explorer.querySelectorAll(".widget-slider, .widget-dropdown")) {
            const parts = [control.closest(".GROUP")?.querySelector("b"), control.querySelector(".widget-label")];
            const name = parts.filter(Boolean).map(part => part.textContent).join(", ");
            set(control.querySelector("[role=slider], select"), "aria-label", name);
            const readout = control.querySelector(".widget-readout");
            if (!readout) continue;
            if (control.matches(".STEPS")) readout.contentEditable = "false";
            set(control.querySelector("[role=slider]"), "aria-valuetext", readout.textContent);
            if (readout.contentEditable === "true") {
                set(readout, "role", "textbox");
                set(readout, "aria-label", `${name}, as a number`);
            }
        }
        for (const group of explorer.querySelectorAll(".widget-toggle-buttons")) {
            set(group, "role", "group");
            set(group, "aria-label", group.querySelector(".widget-label")?.textContent);
            for (const button of group.querySelectorAll("button"))
                set(button, "aria-pressed", String(button.classList.contains("mod-active")));
        }
        for (const region of explorer.querySelectorAll(".REGION")) set(region, "role", "status");
    }

    function render({ el }) {
        let request, observer;
        const start = () => {
            const explorer = el.closest(".EXPLORER");
            if (!explorer && !el.isConnected) return void (request = requestAnimationFrame(start));  // not on the page yet
            if (!explorer) return;
            observer = new MutationObserver(() => tell(explorer));
            // Moves change these two attributes; what is drawn or typed changes the rest.
            observer.observe(explorer, {subtree: true, childList: true, characterData: true,
                                        attributeFilter: ["aria-valuetext", "class"]});
            tell(explorer);
        };
        start();
        return () => { cancelAnimationFrame(request); observer?.disconnect(); };
    }

    export default { render };
    """.replace("EXPLORER", EXPLORER).replace("GROUP", GROUP).replace("STEPS", STEPS).replace("REGION", REGION)
