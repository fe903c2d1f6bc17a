"""One count of the bottleneck 256-64-256 at 320x320, and of ResNet-152 at 224x224: time and memory growth, each tool in
its own process.

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
    from resnote.blocks import Bottleneck
    return _flop_counter(lambda: Bottleneck(256, 64, 256, batch_norm=False), (1, 256, 320, 320))


def _flop_counter(make, shape):
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    with torch.device("meta"):
        module, x = make(), torch.empty(shape)

    def count():
        with FlopCounterMode(display=False) as flops:
            module(x)
        return flops.get_total_flops() // 2
    return count


def ours_152():
    from resnote.resnets import count, resnet
    return lambda: count(resnet(152)).macs


def torchinfo_meta_152():
    import torch
    import torchinfo
    with torch.device("meta"):
        network = _network_152()
    # torchinfo counts batch norms, and biases, as multiply-accumulates; ours and FlopCounterMode do not
    kinds = {"Conv2d", "Linear"}

    def count():
        layers = torchinfo.summary(network, (1, 3, 224, 224), device="meta", verbose=0).summary_list
        return sum(each.macs for each in layers if each.class_name in kinds and each.is_leaf_layer) - 1000     # the last bias
    return count


def flop_counter_meta_152():
    return _flop_counter(_network_152, (1, 3, 224, 224))


def _network_152():
    from resnote.networks import ResNet
    from resnote.resnets import resnet
    return ResNet(resnet(152))


BLOCK, NETWORK = "a bottleneck 256-64-256 at 320x320", "ResNet-152 at 224x224"
WAYS = {BLOCK: {"resnote.counting": (ours, 20_000), "torchinfo, real tensors": (torchinfo_real, 7),
                "torchinfo, meta device": (torchinfo_meta, 50), "FlopCounterMode, meta": (flop_counter_meta, 50)},
        NETWORK: {"resnote.resnets": (ours_152, 400), "torchinfo, meta device": (torchinfo_meta_152, 5),
                  "FlopCounterMode, meta": (flop_counter_meta_152, 5)}}


def measure(what: str, way: str) -> dict:
    """First and median time of a count in seconds, and growth of the process's peak memory in MiB."""
    make, times = WAYS[what][way]
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
    print(f"Python {platform.python_version()}, {platform.machine()}, one process a way")
    for what, ways in WAYS.items():
        print(f"\nOne count of {what}")
        results = {}
        for way in ways:
            out = subprocess.run([sys.executable, __file__, what, way], capture_output=True, text=True, check=True)
            results[way] = json.loads(out.stdout)
        assert len({r["macs"] for r in results.values()}) == 1, results
        base = next(iter(results.values()))["median"]
        print(f"{'way':26}{'median':>12}{'first':>12}{'÷ ours':>12}{'memory growth':>16}")
        for way, r in results.items():
            print(f"{way:26}{_time(r['median']):>12}{_time(r['first']):>12}{r['median'] / base:>12,.0f}{r['mib']:>12.1f} MiB")


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
