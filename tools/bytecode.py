"""Under Pyodide: the standard library and resnote as one zip file of bytecode, and no more of them than explorers load.

Otherwise a page would mostly wait for the compiler, and mostly fetch modules that no explorer imports.
"""

import json
import sys
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash

sys.path.insert(0, "resnote.zip")

from resnote import explorers  # noqa: E402
from resnote.hosts import tables, web  # noqa: E402

# Tables of one setting, so that what torch computes can be asked for.
signal, inference = explorers.SignalExplorer.setting(), explorers.InferenceExplorer.setting()
tables.use("signal", {tables.key(signal.activation, signal.gain, signal.batch_norm): {"spread": [1.0] * 60, "gradients": [[1.0] * 60] * 60}})
shown = tables.key(inference.momentum, inference.batch_size, inference.learning)
tables.use("inference", {
    "walks": {shown: [[[1.0] * 200, [1.0] * 201, [1.0] * 201]] * 2},
    "right": {shown: [[1, 1, 1]] * 201},
    "sizes": {tables.key(inference.batch_size): [1, 1]}})

for name in explorers.__all__:          # a state, and a setting that is refused: both must find what they import
    for setting, wanted in (({}, "parts"), ({"unknown": ""}, "There is no setting")):
        found = web.answer(json.dumps({"explorer": name, "key": name, "setting": setting}))
        assert wanted in found, f"{name} does not work without torch: {found}"

with zipfile.ZipFile("python.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
    for archive in ("library.zip", "resnote.zip"):
        with zipfile.ZipFile(archive) as sources:
            for file in sorted(sources.namelist()):
                module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                if not file.endswith(".py") or module not in sys.modules:
                    continue
                source = sources.read(file)
                code = compile(source, file, "exec", dont_inherit=True, optimize=2)
                entry = zipfile.ZipInfo(f"{file}c")         # dated 1980: the same bytes each time
                packed.writestr(entry, _code_to_hash_pyc(code, source_hash(source), False), zipfile.ZIP_DEFLATED)
