"""The tests, part by part: each part is run, also after one that failed, and at the end it is said which did.

    python tests/parts.py [--thorough] [option of pytest ...]

The lessons, the kernel's tests and the browser's are one part, so that two processors are busy to its end. Without
``--thorough`` no test runs that is marked `thorough`, and no cell of a lesson runs twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Tests of one lesson or one explorer run on the same worker: see one_red_line.py.
PYTEST = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup"]
# The longest first, and at the end short ones that fill the gaps. What one browser does is one group of tests, as is each lesson.
ORDER = ["tests/browser/test_pages.py", "notebooks/04_batch_norm_training.ipynb", "notebooks/05_batch_norm_inference.ipynb",
         "tests/browser/test_lessons.py", "notebooks/02_residual_block.ipynb", "notebooks/01_plain_networks.ipynb",
         "notebooks/06_resnet.ipynb", "notebooks/03_bottleneck.ipynb", "notebooks/00_start_here.ipynb",
         "tests/browser/test_second_day.py", "tests/kernel"]
PARTS = {
    "lint": [sys.executable, "-m", "ruff", "check"],
    "unit tests": [*PYTEST, "tests/unit"],
    # A cell may take six times as long as the slowest took on a slow machine.
    "lessons, kernel and browser": [
        *PYTEST, "--no-loadscope-reorder", "--durations", "12", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "150",
        "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", *ORDER],
}
QUICK = ("-m", "not thorough")
MORE_WORKERS = ("-n", "3")      # where time is short: two processors stay busy while a kernel starts or a browser waits
BEHIND_THE_BLOCK = "lessons, kernel and browser"    # no Python there reaches the network


def main(options: list[str]) -> int:
    failed, taken, thorough = [], [], "--thorough" in options
    options = [*(() if thorough else QUICK), *(option for option in options if option != "--thorough")]
    with tempfile.TemporaryDirectory(prefix="red-lines-") as red_lines:
        for name, command in PARTS.items():
            environment = os.environ | {"RED_LINES": red_lines}
            if name == BEHIND_THE_BLOCK:
                paths = [str(ROOT / "tests" / "offline"), os.environ.get("PYTHONPATH", "")]
                environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            print(f"\n== {name}", flush=True)
            began = time.monotonic()
            lessons = (["--again"] if thorough else MORE_WORKERS) if "--nbval" in command else ()
            more = [*lessons, *(options if "pytest" in command else ())]
            code = subprocess.run([*command, *more], cwd=ROOT, env=environment).returncode
            taken.append(f"{name} {time.monotonic() - began:.0f} s")
            failed += [name] * (code != 0)
    print(f"\n{', '.join(taken)}")
    print(f"FAILED: {', '.join(failed)}" if failed else "All passed.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
