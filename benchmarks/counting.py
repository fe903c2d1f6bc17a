"""One count of the bottleneck 256-64-256 at 320x320: time and memory growth, each tool in its own process.

    python benchmarks/counting.py

Ours is compared with what a user would call instead: torchinfo on real tensors and on the meta
device, and FlopCounterMode on the meta device. First calls are reported apart, since a first pass on
the meta device imports torch's compiler.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
import time

SETTING = {"size": 320, "batch_norm": False}


def ours():
    from resnote.counting import bottleneck
    return lambda: bottleneck(256, 64, 256, **SETTING).macs


def torchinfo_real():
    import torchinfo
    from resnote.blocks import Bottleneck
    block = Bottleneck(256, 64, 256, batch_norm=False)
    return lambda: torchinfo.summary(block, (1, 256, 320, 320), verbose=0).total_mult_adds


def torchinfo_meta():
    import torchinfo
    from resnote.blocks import Bottleneck
    block = Bottleneck(256, 64, 256, batch_norm=False)
    return lambda: torchinfo.summary(block, (1, 256, 320, 320), device="meta", verbose=0).total_mult_adds


def flop_counter_meta():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from resnote.blocks import Bottleneck
    with torch.device("meta"):
        block, x = Bottleneck(256, 64, 256, batch_norm=False), torch.empty(1, 256, 320, 320)

    def count():
        with FlopCounterMode(display=False) as flops:
            block(x)
        return flops.get_total_flops() // 2
    return count


WAYS = {"resnote.counting": (ours, 20_000), "torchinfo, real tensors": (torchinfo_real, 7),
        "torchinfo, meta device": (torchinfo_meta, 50), "FlopCounterMode, meta": (flop_counter_meta, 50)}


def measure(way: str) -> dict:
    """First and median time of a count in seconds, and growth of the process's peak memory in MiB."""
    make, times = WAYS[way]
    count = make()
    memory = _peak_kib()
    start = time.perf_counter()
    macs = count()
    first = time.perf_counter() - start
    batch = max(1, times // 20)          # a single count of ours is near the clock's resolution
    taken = []
    for _ in range(max(5, times // batch)):
        start = time.perf_counter()
        for _ in range(batch):
            count()
        taken.append((time.perf_counter() - start) / batch)
    return {"macs": macs, "first": first, "median": statistics.median(taken), "mib": (_peak_kib() - memory) / 1024}


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    print(f"One count of a bottleneck 256-64-256 at 320x320 · Python {platform.python_version()}, "
          f"{platform.machine()}, one process a way")
    results = {}
    for way in WAYS:
        out = subprocess.run([sys.executable, __file__, way], capture_output=True, text=True, check=True)
        results[way] = json.loads(out.stdout)
    assert len({r["macs"] for r in results.values()}) == 1, results
    base = results["resnote.counting"]["median"]
    print(f"{'way':26}{'median':>12}{'first':>12}{'÷ ours':>12}{'memory growth':>16}")
    for way, r in results.items():
        print(f"{way:26}{_time(r['median']):>12}{_time(r['first']):>12}{r['median'] / base:>12,.0f}"
              f"{r['mib']:>12.1f} MiB")


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
