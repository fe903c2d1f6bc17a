// The classes resnote-… are those of names.py.
const set = (element, name, value) => element?.getAttribute(name) !== value && element?.setAttribute(name, value);

const MOVES = /^(Arrow|Page|Home$|End$)/;

function tell(box, choices) {
    for (const control of box.querySelectorAll(".widget-slider, .widget-dropdown")) {
        const parts = [control.closest(".resnote-group")?.querySelector("b"), control.querySelector(".widget-label")];
        const name = parts.filter(Boolean).map(part => part.textContent).join(", ");
        set(control.querySelector("[role=slider], select"), "aria-label", name);
        const readout = control.querySelector(".widget-readout");
        if (!readout) continue;
        if (control.matches(".resnote-steps")) readout.contentEditable = "false";
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
        set(group, "aria-label", box.querySelector(".resnote-question")?.textContent.trim());
        for (const input of group.querySelectorAll("input")) set(input, "name", choices);  // one group, for the arrow keys
    }
    for (const region of box.querySelectorAll(".resnote-region")) set(region, "role", "status");
}

function render({ el }) {
    const choices = `choices-${Math.random()}`;
    let request, observer;
    // Front ends may bind the keys that move a slider or a choice to other commands (next cell, scroll); elements with
    // this attribute are exempt. Other keys, such as Shift+Enter, stay the front end's.
    const keep = ({ key, target }) => {
        if (!MOVES.test(key) || target.name !== choices && !target.matches?.("[role=slider]")) return;
        if (!target.closest(".resnote-named")?.contains(el)) return;
        target.setAttribute("data-lm-suppress-shortcuts", "true");
        setTimeout(() => target.removeAttribute("data-lm-suppress-shortcuts"));
    };
    window.addEventListener("keydown", keep, true);
    const start = () => {
        const box = el.closest(".resnote-named");
        if (!box && !el.isConnected) return void (request = requestAnimationFrame(start));  // not on the page yet
        if (!box) return;
        // What changes inside a picture names nothing, and each move draws several.
        const drawn = ({ target }) => target.parentElement?.closest(".widget-html");
        observer = new MutationObserver(records => records.every(drawn) || tell(box, choices));
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
