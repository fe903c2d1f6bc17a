// Run by Node: node bytecode.mjs <folder of Pyodide> <resnote.zip> <zip to write>. What it does, bytecode.py says.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, resnote, target] = process.argv.slice(2).map(path => resolve(path));
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const python = await loadPyodide({ indexURL: `${folder}/` });
for (const [name, file] of [["library.zip", `${folder}/python_stdlib.zip`], ["resnote.zip", resnote]])
    python.FS.writeFile(name, new Uint8Array(readFileSync(file)));
python.runPython(readFileSync(new URL("bytecode.py", import.meta.url), "utf8"));
writeFileSync(target, python.FS.readFile("python.zip"));
process.exit();
