// Python for all explorers of a page, in a module worker. A message is one question for web.py's `answer`, as JSON.
import { loadPyodide } from "./pyodide/pyodide.mjs";

// What is computed by torch cannot be computed here; the site brings it as tables.
const TABLES = { SignalExplorer: "signal", InferenceExplorer: "inference" };

function stop(error) {
    self.postMessage(JSON.stringify({ stopped: String(error.message ?? error) }));
}

// Where this fails, Pyodide only warns, and waits for ever.
const instantiate = WebAssembly.instantiateStreaming;
WebAssembly.instantiateStreaming = async (...given) => {
    try {
        return await instantiate(...given);
    } catch (error) {
        stop(error);
        throw error;
    }
};

async function start() {
    const python = await loadPyodide({ indexURL: new URL("pyodide/", import.meta.url).href });
    return { python, web: python.pyimport("resnote.hosts.web") };
}

const started = start(), tables = {};

async function table({ python, web }, name) {
    const response = await fetch(`tables/${name}.json.gz`);
    if (!response.ok) throw new Error(`its table could not be loaded (${response.status})`);
    web.use_table(name, python.toPy(new Uint8Array(await response.arrayBuffer())));
}

self.onmessage = async ({ data }) => {
    try {
        const all = await started, name = TABLES[JSON.parse(data).explorer];
        if (name) await (tables[name] ??= table(all, name));
        self.postMessage(all.web.answer(data));
    } catch (error) {
        stop(error);
    }
};
