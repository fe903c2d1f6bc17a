// What moves on a page: explorers, whose numbers and pictures Python makes in a worker, and questions that answer.

const PATIENCE = { starting: 180_000, moving: 20_000 };       // milliseconds until Python counts as lost
const STILL = "The picture is a still; the rest of the page is as ever.";

// --- Python ----------------------------------------------------------------------------------------

let worker, clock, answered = false;
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
        worker ??= begin();
        worker.postMessage(JSON.stringify({ key, explorer: kind, ...wanted }));
    } catch (error) {
        return lost(error.message);
    }
    watch();
}

function begin() {
    answered = false;
    const begun = new Worker("web_worker.js", { type: "module" });
    begun.onmessage = ({ data }) => {
        const answer = JSON.parse(data);
        if (answer.stopped) return lost(answer.stopped);
        answered = true;
        const explorer = explorers.find(({ key }) => key === answer.key);
        asking.delete(explorer);
        explorer.show(answer);
        if (explorer.wanted) send(explorer);
        watch();
    };
    begun.onerror = event => lost(event.message || "its file could not be loaded");
    return begun;
}

function watch() {
    clearTimeout(clock);
    if (asking.size) clock = setTimeout(() => lost("it does not answer"), PATIENCE[answered ? "moving" : "starting"]);
}

function lost(reason) {
    clearTimeout(clock);
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

    // While nothing moves yet, the still stays, and a sentence stands below it.
    tell(words, button) {
        this.status.textContent = words;
        if (!button) return;
        const again = Object.assign(document.createElement("button"), { type: "button", textContent: button });
        again.onclick = () => this.begin();
        this.status.append(" ", again);
    }

    begin(wanted = this.asked ?? this.start) {
        this.asked = wanted;
        if (this.live) return ask(this, wanted);
        const missing = obstacle();
        if (missing) return this.tell(`${missing} ${STILL}`);
        this.tell("Python is starting in this page; in some seconds the controls appear here. The first time it loads 7 MB.");
        ask(this, wanted);
    }

    fail(reason) {
        if (this.live) this.say(`Python has stopped in this page (${reason}). Move a control, and it starts again.`);
        else this.tell(`Python could not be started in this page (${reason}). ${STILL}`, "Try again");
    }

    say(words) {
        this.section.querySelector(".sentence").textContent = words;
    }

    goLive() {
        const { section } = this;
        this.live = true;
        this.status.remove();
        section.querySelector(".still").replaceWith(section.querySelector("template").content);
        this.parts = new Map([...section.querySelectorAll("[data-part]")].map(part => [part.dataset.part, { element: part }]));
        this.controls = [...section.querySelectorAll(".control [name]")];
        section.addEventListener("input", ({ target }) => target.name && this.move());
        section.addEventListener("change", ({ target }) => target.dataset.of && this.type(target));
        for (const button of section.querySelectorAll(".presets button"))
            button.onclick = () => ask(this, { preset: button.textContent });
        section.querySelector(".copy").onclick = () => this.copy();
    }

    move() {
        ask(this, { positions: Object.fromEntries(this.controls.map(control => [control.name, position(control)])) });
    }

    type(box) {                         // a number that the slider does not have becomes the nearest that it has
        const slider = this.controls.find(({ name }) => name === box.dataset.of);
        if (box.value !== "") slider.value = Math.round(Number(box.value));
        box.value = slider.value;
        this.move();
    }

    show(answer) {
        if (!this.live) this.goLive();
        if (answer.problem) return this.say(answer.problem);
        for (const [name, html] of Object.entries(answer.parts)) {
            const part = this.parts.get(name);
            if (part.html !== html) part.element.innerHTML = part.html = html;
        }
        this.say(answer.sentence);
        for (const control of this.controls) {
            const now = answer.positions[control.name];
            if (!this.wanted && position(control) !== now) place(control, now);
            const readout = control.parentElement.querySelector("output, [data-of]"), words = answer.words[control.name];
            if (readout?.matches("output")) {
                readout.value = words;
                control.setAttribute("aria-valuetext", words);
            } else if (readout && document.activeElement !== readout) readout.value = control.value;
        }
        for (const button of this.section.querySelectorAll(".presets button"))
            button.setAttribute("aria-pressed", String(button.textContent === answer.preset));
        this.section.querySelector(".keep code").textContent = answer.code;
        this.setting = answer.setting;
    }

    async copy() {
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
    if (!globalThis.Worker || !globalThis.WebAssembly) return "This browser cannot run Python in a page: it has no workers or no WebAssembly.";
}

const explorers = [...document.querySelectorAll(".explorer")].map(section => new Explorer(section));

// --- a setting in the link: #explorer?width=32 -----------------------------------------------------

const linked = new Set();

function follow() {
    const [, key, query] = location.hash.match(/^#(?:([\w-]+)\?)?(.*=.*)$/) ?? [];
    const explorer = query && (key ? explorers.find(explorer => explorer.key === key) : explorers[0]);
    for (const other of linked) if (other !== explorer) other.begin(other.start);
    linked.clear();
    if (!explorer) return;
    linked.add(explorer);
    explorer.section.scrollIntoView();
    explorer.begin({ setting: Object.fromEntries(new URLSearchParams(query)) });
}

// Python starts when the first explorer is a window's height away.
const near = new IntersectionObserver(seen => {
    for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        const explorer = explorers.find(({ section }) => section === target);
        if (!explorer.asked) navigator.connection?.saveData
            ? explorer.tell("The explorer needs Python in this page, 7 MB.", "Start it") : explorer.begin();
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
