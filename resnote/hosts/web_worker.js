// Python for all explorers of a page, in a module worker. A message is one question for web.py's `answer`, as JSON.
import { loadPyodide } from "./pyodide.mjs";

function stop(error) {
    const words = String(error.message ?? error).trim().split("\n").pop();       // of a traceback, what was raised
    self.postMessage(JSON.stringify({ stopped: words }));
}

async function fetched(file) {
    const response = await file;
    if (!response.ok) throw new Error(`${response.url.split("/").pop()} could not be loaded: ${response.status}`);
    return response.arrayBuffer();
}

// Pyodide's streaming needs a server that sends the right MIME type, and waits for ever if loading fails.
WebAssembly.instantiateStreaming = async (file, imports) => {
    try {
        return await WebAssembly.instantiate(await fetched(file), imports);
    } catch (error) {
        stop(error);
        throw error;
    }
};

async function start() {
    const python = await loadPyodide({ indexURL: new URL(".", import.meta.url).href });
    return { python, web: python.pyimport("resnote.hosts.web") };
}

const started = start(), tables = {};

async function table({ python, web }, name) {
    web.use_table(name, python.toPy(new Uint8Array(await fetched(fetch(new URL(`${name}.json.gz`, import.meta.url))))));
}

self.onmessage = async ({ data }) => {
    try {
        const all = await started, { table: name } = JSON.parse(data);
        if (name) await (tables[name] ??= table(all, name));
        self.postMessage(all.web.answer(data));
    } catch (error) {
        stop(error);
    }
};
