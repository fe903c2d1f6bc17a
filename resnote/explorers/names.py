"""What a screen reader is told of the controls, which ipywidgets leaves to the eye.

The name of a slider stands beside its track, and nothing ties the two together: its handle would be read as
"slider, 3", a chosen value as its number in the list, and a preset as a button that is never pressed.
"""

import anywidget

EXPLORER = "resnote-explorer"


class ControlNames(anywidget.AnyWidget):
    """Shows nothing; names every control of the explorer that it lies in, the element of class `EXPLORER`."""

    _esm = """
    const set = (element, name, value) => element?.getAttribute(name) !== value && element?.setAttribute(name, value);

    function tell(explorer) {
        for (const slider of explorer.querySelectorAll(".widget-slider")) {
            const name = slider.querySelector(".widget-label")?.textContent;
            const handle = slider.querySelector("[role=slider]"), readout = slider.querySelector(".widget-readout");
            set(handle, "aria-label", name);
            set(handle, "aria-valuetext", readout.textContent);
            if (readout.isContentEditable) {
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
    }

    function render({ el }) {
        let request, observer;
        const start = () => {
            const explorer = el.closest(".resnote-explorer");
            if (!explorer) return void (request = requestAnimationFrame(start));  // not on the page yet
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
    """
