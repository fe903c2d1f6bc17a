"""What a screen reader is told of an explorer or a question, which ipywidgets leaves to the eye.

The name of a slider stands beside its track, and nothing ties the two together: its handle would be read as
"slider, 3", a chosen value as its number in the list, a preset as a button that is never pressed, and the choices of a
question as so many single buttons.
"""

import anywidget

NAMED = "resnote-named"          # classes: the whole explorer or question,
GROUP = "resnote-group"          # a column whose heading, in bold, belongs to its controls' names,
QUESTION = "resnote-question"    # the words that are the name of the choices below them,
STEPS = "resnote-steps"          # a slider over chosen values: its readout is no place to type, whatever it looks like,
REGION = "resnote-region"        # and what is read out when it changes; it stays while its content is replaced


class ControlNames(anywidget.AnyWidget):
    """Shows nothing; names every control of the explorer or question that it lies in."""

    _esm = """
    const set = (element, name, value) => element?.getAttribute(name) !== value && element?.setAttribute(name, value);

    const MOVES = /^(Arrow|Page|Home$|End$)/;

    function tell(box, choices) {
        for (const control of box.querySelectorAll(".widget-slider, .widget-dropdown")) {
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
        for (const group of box.querySelectorAll(".widget-toggle-buttons")) {
            set(group, "role", "group");
            set(group, "aria-label", group.querySelector(".widget-label")?.textContent);
            for (const button of group.querySelectorAll("button"))
                set(button, "aria-pressed", String(button.classList.contains("mod-active")));
        }
        for (const group of box.querySelectorAll(".widget-radio-box")) {
            set(group, "role", "radiogroup");
            set(group, "aria-label", box.querySelector(".QUESTION")?.textContent.trim());
            for (const input of group.querySelectorAll("input")) set(input, "name", choices);  // one group, for the arrow keys
        }
        for (const region of box.querySelectorAll(".REGION")) set(region, "role", "status");
    }

    function render({ el }) {
        const choices = `choices-${Math.random()}`;
        let request, observer;
        // The keys that move a slider or a choice would also go to another cell, or scroll the page, where the front end
        // has bound them; its commands pass by what carries this attribute. Other keys, Shift+Enter say, stay its own.
        const keep = ({ key, target }) => {
            if (!MOVES.test(key) || target.name !== choices && !target.matches?.("[role=slider]")) return;
            if (!target.closest(".NAMED")?.contains(el)) return;
            target.setAttribute("data-lm-suppress-shortcuts", "true");
            setTimeout(() => target.removeAttribute("data-lm-suppress-shortcuts"));
        };
        window.addEventListener("keydown", keep, true);
        const start = () => {
            const box = el.closest(".NAMED");
            if (!box && !el.isConnected) return void (request = requestAnimationFrame(start));  // not on the page yet
            if (!box) return;
            observer = new MutationObserver(() => tell(box, choices));
            // Moves change these two attributes; what is drawn or typed changes the rest.
            observer.observe(box, {subtree: true, childList: true, characterData: true,
                                   attributeFilter: ["aria-valuetext", "class"]});
            tell(box, choices);
        };
        start();
        return () => {
            window.removeEventListener("keydown", keep, true);
            cancelAnimationFrame(request);
            observer?.disconnect();
        };
    }

    export default { render };
    """.replace("NAMED", NAMED).replace("GROUP", GROUP).replace("QUESTION", QUESTION).replace("STEPS", STEPS).replace(
        "REGION", REGION)

    # In a window as narrow as a phone, or enlarged to four times, a label stands above its control: beside it there would
    # be no room for a track.
    _css = """
    @media (max-width: 520px) {
        .NAMED .widget-hbox, .NAMED .widget-inline-hbox { flex-wrap: wrap; }
        .NAMED .widget-inline-hbox { height: auto !important; }
        .NAMED .widget-inline-hbox > .widget-label { flex: 1 0 100%; width: 100% !important; text-align: left; }
        .NAMED .widget-inline-hbox > .slider-container { flex: 1 1 80px; }
    }
    """.replace("NAMED", NAMED)
