// What moves on a page: explorers, whose numbers and pictures Python makes in a worker, and questions that answer.

const PATIENCE = { starting: 900_000, moving: 20_000 };       // milliseconds until Python counts as lost
const SLOW = 30_000;            // milliseconds until the reader of a slow line is told
const SIZE = "5 MB, or 12 MB where the server does not compress";
const PYTHON = document.documentElement.dataset.python;       // the folder of the worker

// --- Python ----------------------------------------------------------------------------------------

let worker, clock, slow, late = false, answered = false;
const asking = new Set();               // explorers that wait for an answer

function ask(explorer, wanted) {
    explorer.wanted = wanted;           // of several moves while Python is busy, the last one counts
    if (!asking.has(explorer)) send(explorer);
}

function send(explorer) {
    const { key, kind, wanted } = explorer;
    explorer.wanted = null;
    asking.add(explorer);
    try {
        if (!worker && explorer.live) explorer.wait();
        worker ??= begin();
        worker.postMessage(JSON.stringify({ key, explorer: kind, table: explorer.section.dataset.table, ...wanted }));
    } catch (error) {
        return lost(error.message);
    }
    watch();
}

function begin() {
    answered = false;
    const begun = new Worker(`${PYTHON}/web_worker.js`, { type: "module" });
    begun.onmessage = ({ data }) => {
        if (begun !== worker) return;
        const answer = JSON.parse(data);
        if (answer.stopped) return lost(answer.stopped);
        answered = true;
        const explorer = explorers.find(({ key }) => key === answer.key);
        asking.delete(explorer);
        try {
            explorer.show(answer);
        } catch (error) {
            explorer.say(`This page and its Python do not fit together (${error.message}). Load the page anew.`);
        }
        if (explorer.wanted) send(explorer);
        watch();
    };
    begun.onerror = event => begun === worker && lost(event.message || "its file could not be loaded");     // such as after a new version
    return begun;
}

function watch() {
    clearTimeout(clock);
    clearTimeout(slow);
    if (!asking.size) return;
    clock = setTimeout(() => lost("it does not answer"), PATIENCE[answered ? "moving" : "starting"]);
    if (!answered) slow = setTimeout(() => {
        late = true;
        for (const explorer of asking) explorer.wait();
    }, SLOW);
}

function lost(reason) {
    clearTimeout(clock);
    clearTimeout(slow);
    late = false;
    worker?.terminate();
    worker = undefined;
    const waiting = [...asking];
    asking.clear();
    for (const explorer of waiting) explorer.fail(reason);
}

// --- explorers -------------------------------------------------------------------------------------

class Explorer {
    constructor(section) {
        this.section = section;
        this.key = section.id;
        this.kind = section.dataset.explorer;
        this.start = { setting: JSON.parse(section.dataset.setting) };
        this.setting = this.start.setting;
        this.status = section.querySelector(".status");
    }

    // What the still is, where it is not what was asked for.
    get other() {
        const same = new URLSearchParams(this.asked.setting).toString() === new URLSearchParams(this.start.setting).toString();
        return same ? "" : " The picture is a still of the lesson's setting, not of the link's.";
    }

    get still() {
        return this.other || " The picture is a still.";
    }

    // While nothing moves yet, the still stays, and a sentence stands below it.
    tell(words, button) {
        this.status.textContent = words;
        if (!button) return;
        const again = Object.assign(document.createElement("button"), { type: "button", textContent: button });
        again.onclick = () => {
            this.section.tabIndex = -1;
            this.section.focus();               // the button goes
            this.begin(this.asked, true);
        };
        this.status.append(" ", again);
    }

    begin(wanted = this.start, agreed = false) {
        this.asked = wanted;
        if (this.live) return ask(this, wanted);
        const missing = obstacle();
        if (missing) return this.tell(missing + this.still);
        if (navigator.connection?.saveData && !worker && !agreed) return this.tell(`The explorer needs Python in this page, ${SIZE}.${this.other}`, "Start it");
        this.wait();
        ask(this, wanted);
    }

    wait() {
        const words = late ? `Python is still on its way to this page: ${SIZE}, for which a slow line takes minutes.`
            : this.live ? "Python is starting again in this page."
            : `Python is starting in this page; in some seconds the controls appear here. The first time it loads ${SIZE}.`;
        if (this.live) this.say(words);
        else this.tell(words + this.other);
    }

    fail(reason) {
        this.copies = false;
        if (this.live) this.say(`Python has stopped in this page (${reason}). Move a control, and it starts again; or load the page anew.`);
        else this.tell(`Python could not be started in this page (${reason}).${this.still} Try again, or load the page anew.`, "Try again");
    }

    say(words) {
        const place = this.section.querySelector(".sentence");
        if (place) place.textContent = words;
        else this.tell(words);
    }

    goLive(words) {
        const { section } = this;
        this.live = true;
        const focused = section.contains(document.activeElement);
        section.classList.add("live");
        this.status.textContent = words;        // read out, not seen
        section.querySelector(".still").replaceWith(section.querySelector("template").content);
        this.parts = new Map([...section.querySelectorAll("[data-part]")].map(part => [part.dataset.part, { element: part }]));
        this.controls = [...section.querySelectorAll(".control [name]")];
        if (focused) this.controls[0].focus();
        section.addEventListener("input", ({ target }) => target.name ? this.move() : target.typing = true);
        section.addEventListener("change", ({ target }) => target.dataset.of && this.type(target));
        section.addEventListener("focusout", ({ target }) => target.dataset.of && this.leave(target));
        for (const slider of section.querySelectorAll(".control [type=range]")) this.holdStill(slider);
        for (const button of section.querySelectorAll(".presets button"))
            button.onclick = () => ask(this, { preset: button.textContent });
        section.querySelector(".copy").onclick = () => this.copy();
        new ResizeObserver(([{ borderBoxSize: [size] }]) => requestAnimationFrame(() => this.keepHeight(size))).observe(section);
    }

    // A finger that comes down on a slider moves it at once, also where it then scrolls the page: so the slider goes back.
    holdStill(slider) {
        let before;
        slider.addEventListener("pointerdown", ({ isPrimary }) => { if (isPrimary) before = slider.value; });
        slider.addEventListener("pointercancel", ({ isPrimary }) => {
            if (!isPrimary || slider.value === before) return;
            slider.value = before;
            this.move();
        });
    }

    // What stands below stays where it is: the box grows with its longest sentence, and shrinks only when it becomes wider or narrower.
    keepHeight({ inlineSize, blockSize }) {
        const { section, width } = this;
        this.width = inlineSize;
        if (inlineSize !== width) section.style.minHeight = "";
        section.style.minHeight = `${inlineSize === width ? blockSize : section.getBoundingClientRect().height}px`;
    }

    move() {
        ask(this, { positions: Object.fromEntries(this.controls.map(control => [control.name, position(control)])) });
    }

    type(box) {                         // a number that the slider does not have becomes the nearest that it has
        const slider = this.controls.find(({ name }) => name === box.dataset.of);
        if (box.value !== "") slider.value = Math.round(Number(box.value));
        this.leave(box);
        this.move();
    }

    leave(box) {                        // also without a change, where the number was typed again as it was
        box.value = this.controls.find(({ name }) => name === box.dataset.of).value;
        box.typing = false;
    }

    show(answer) {
        if (!this.live) this.goLive(answer.problem ?? "The controls of the explorer are here.");
        if (answer.problem) {
            this.copies = false;
            return this.say(answer.problem);
        }
        // All is read before any is written: to read after a write, the browser would lay out the page anew for each part.
        const changed = Object.entries(answer.parts).map(([name, html]) => ({ part: this.parts.get(name), html }))
            .filter(({ part, html }) => part.html !== html);
        for (const each of changed) each.scrolled = each.part.element.firstElementChild?.scrollLeft;
        for (const { part, html, scrolled } of changed) {
            part.element.innerHTML = part.html = html;
            if (scrolled) part.element.firstElementChild.scrollLeft = scrolled;
        }
        this.say(answer.sentence);
        for (const control of this.controls) {
            const now = answer.positions[control.name];
            if (!this.wanted && position(control) !== now) place(control, now);
            const readout = control.parentElement.querySelector(".value, [data-of]"), words = answer.words[control.name];
            if (readout?.matches(".value")) {
                readout.textContent = words;
                control.setAttribute("aria-valuetext", words);
            } else if (readout && !readout.typing) readout.value = control.value;
        }
        for (const button of this.section.querySelectorAll(".presets button"))
            button.setAttribute("aria-pressed", String(button.textContent === answer.preset));
        this.section.querySelector(".keep code").textContent = answer.code;
        this.setting = answer.setting;
        if (this.copies && !this.wanted) this.copy();
    }

    async copy() {
        this.copies = asking.has(this);         // then once the answer is here
        if (this.copies) return;
        const url = new URL(location);
        url.hash = `${this.key}?${new URLSearchParams(this.setting)}`;
        if (url.href !== location.href) history.pushState(null, "", url);
        linked.add(this);
        const told = this.section.querySelector(".told");
        try {
            await navigator.clipboard.writeText(url.href);
            told.textContent = "Copied.";
        } catch {
            told.textContent = "The link is in the address bar.";
        }
        setTimeout(() => told.textContent = "", 4000);
    }
}

const position = control => control.type === "checkbox" ? Number(control.checked)
    : control.type === "range" ? control.value - control.min : control.selectedIndex;

function place(control, position) {
    if (control.type === "checkbox") control.checked = Boolean(position);
    else if (control.type === "range") control.value = Number(control.min) + position;
    else control.selectedIndex = position;
}

function obstacle() {
    if (location.protocol === "file:") return "This page was opened from disk, where a browser starts no Python; from a web server it does.";
    if (!globalThis.WebAssembly || !modules()) return "This browser cannot run Python in a page: it has no module workers or no WebAssembly.";
}

// A browser that knows of no module workers does not ask for the type.
function modules() {
    let asked = false;
    try {
        new Worker("data:text/javascript,", { get type() { asked = true; return "module"; } }).terminate();
    } catch {}
    return asked;
}

const explorers = [...document.querySelectorAll(".explorer")].map(section => new Explorer(section));

// --- a setting in the link: #explorer?width=32 -----------------------------------------------------

const linked = new Set();

function follow() {
    const [, key, setting, alone] = location.hash.match(/^#(?:([\w-]+)\?(.*)|(.*=.*))$/) ?? [];
    const explorer = key ? explorers.find(explorer => explorer.key === key) : alone && explorers[0];
    if (!explorer && location.hash.length > 1) return;          // a link to a heading, say
    for (const other of linked) if (other !== explorer) other.begin(other.start);
    linked.clear();
    if (!explorer) return;
    linked.add(explorer);
    explorer.section.scrollIntoView();
    explorer.begin({ setting: Object.fromEntries(new URLSearchParams(setting ?? alone)) });
}

// Python starts when the first explorer is a window's height away.
const near = new IntersectionObserver(seen => {
    for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        const explorer = explorers.find(({ section }) => section === target);
        if (!explorer.asked) explorer.begin();
    }
}, { rootMargin: "100% 0px" });

addEventListener("hashchange", follow);
follow();
for (const { section } of explorers) near.observe(section);

// --- questions -------------------------------------------------------------------------------------

for (const question of document.querySelectorAll(".question")) {
    question.querySelector(".still").replaceWith(question.querySelector("template").content);
    const reply = question.querySelector("[role=status]");
    question.addEventListener("change", ({ target }) => reply.replaceChildren(target.nextElementSibling.content.cloneNode(true)));
}
