"""A notebook's cells without their outputs, for `git diff`; CONTRIBUTING.md says how to switch this on.

    python tools/without_outputs.py NOTEBOOK
"""

import json
import sys
from pathlib import Path


def sources(notebook: dict) -> str:
    """The source of each cell under a line with its type, its id and its tags."""
    parts = []
    for cell in notebook["cells"]:
        tags = " ".join(cell["metadata"].get("tags", []))
        parts.append(f"--- {cell['cell_type']} {cell.get('id', '')} {tags}".rstrip() + "\n" + "".join(cell["source"]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(sources(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
