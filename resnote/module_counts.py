"""Counting any `nn.Module` as it runs, without its numbers: on torch's "meta" device tensors have a shape and no data.

Where `resnote.counting` has formulas for the blocks of the course, this follows the operations that a forward pass really
calls. Multiply-accumulates come from PyTorch's own formulas (`torch.utils.flop_counter`), memory from what autograd saves.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from resnote.settings import SettingError, check_size
from resnote.text import format_bytes, html_table, text_table

# Operations without multiply-accumulates, beside those that PyTorch itself marks as pointwise.
_CHEAP = {"mean", "sum", "amax", "max", "min", "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "native_batch_norm",
          "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_batch_norm_with_update", "native_layer_norm",
          "native_group_norm", "_softmax", "_log_softmax", "cat", "stack", "constant_pad_nd", "clone", "copy_", "_to_copy", "embedding",
          "native_dropout", "bernoulli", "empty_like", "ones_like", "zeros_like", "rand_like", "full", "arange", "zeros", "ones",
          "empty", "upsample_nearest2d", "upsample_bilinear2d", "fill_", "zero_", "index", "gather", "var_mean", "std", "var"}
HEADINGS = "row", "operation", "output", "parameters", "multiply–accumulates", "bytes"


class Operation(NamedTuple):
    """One operation of the forward pass.

    ``name`` is that of the module that called it, as in ``named_modules()``; ``operation`` PyTorch's (``aten``) name;
    ``parameters`` those that it is the first to use; ``macs`` is None where PyTorch has no formula and the operation is
    none of those known to be without multiply-accumulates; ``bytes`` is the output's size, 0 where it works in place.
    """

    name: str
    operation: str
    output: tuple[int, ...]
    parameters: int
    macs: int | None
    bytes: int


class ModuleCount(NamedTuple):
    """The operations of a forward pass in order, and what autograd keeps of it.

    ``saved_for_backward`` is in bytes, the input included and parameters not. ``unused`` counts parameters that no
    operation uses.
    """

    input: tuple[int, ...]
    rows: tuple[Operation, ...]
    saved_for_backward: int
    unused: int

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows) + self.unused

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all operations that are counted; `uncounted` names the others."""
        return sum(row.macs or 0 for row in self.rows)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operations, by name, whose multiply-accumulates are not known."""
        return tuple(dict.fromkeys(row.operation for row in self.rows if row.macs is None))

    def __repr__(self) -> str:
        return text_table(HEADINGS, self._cells()) + "\n" + "\n".join(self._notes())

    def _repr_html_(self) -> str:
        return html_table(HEADINGS, self._cells(), caption="module", notes=self._notes())

    def _cells(self) -> list[list[str]]:
        cells = [[row.name, row.operation, " × ".join(map(str, row.output)), f"{row.parameters:,}",
                  "not counted" if row.macs is None else f"{row.macs:,}", format_bytes(row.bytes)] for row in self.rows]
        return cells + [["total", "", "", f"{self.parameters:,}", f"{self.macs:,}", ""]]

    def _notes(self) -> list[str]:
        notes = [f"Saved for backward: {format_bytes(self.saved_for_backward)}."]
        if self.unused:
            notes.append(f"{self.unused:,} parameters are used by no operation of this forward pass.")
        if self.uncounted:
            notes.append("Not counted, since PyTorch has no formula: " + ", ".join(self.uncounted) + ".")
        return notes


def count_module(module: nn.Module, input_shape, *, batch: int = 1) -> ModuleCount:
    """Run ``module`` once on the meta device, and count.

    Parameters
    ----------
    module : of any make that computes on tensors alone; it runs in the mode that it is in, and is left as it was
    input_shape : of one example, without the batch axis: (C, H, W) for images
    batch : examples that run together; all numbers are for the whole batch

    Raises
    ------
    SettingError
        where the module asks for a tensor's value (``item()``, ``if x.sum() > 0``), which the meta device does not have,
        mixes in tensors that are neither parameters nor buffers, or does not take such an input.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"count_module needs an nn.Module; it got {type(module).__name__}.")
    shape = tuple(check_size("input_shape", length) for length in input_shape)
    x = torch.empty(check_size("batch", batch), *shape, device="meta", requires_grad=True)
    on_meta = {}                # each tensor once, though two names may hold it
    state = {name: on_meta.setdefault(id(tensor), _to_meta(tensor)) for name, tensor in
             (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))}
    with ExitStack() as leave:
        saved = _Saved(on_meta.values())
        watch = _Watch((tensor for tensor in on_meta.values() if isinstance(tensor, nn.Parameter)), saved)
        for name, part in module.named_modules():
            leave.callback(part.register_forward_pre_hook(lambda *_, name=name: watch.path.append(name)).remove)
            leave.callback(part.register_forward_hook(watch.leave).remove)
        leave.enter_context(torch.enable_grad())
        leave.enter_context(torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor))
        leave.enter_context(watch)
        try:
            functional_call(module, state, (x,), tie_weights=False)
        except (RuntimeError, NotImplementedError, ValueError, TypeError, IndexError) as error:
            raise SettingError(_why_not(error, x, watch.path)) from error
    return ModuleCount(shape, tuple(watch.rows), saved.bytes, sum(watch.left.values()))


def _to_meta(tensor: Tensor) -> Tensor:
    made = tensor.detach().to("meta")
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _why_not(error, x, path) -> str:
    place = f" in {path[-1]!r}" if path and path[-1] else ""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "meta" in text and ("item" in text or "_local_scalar_dense" in text or "nonzero" in text or "data" in text):
        return (f"The module asks for the value of a tensor{place}, and on the meta device tensors have a shape and no values. "
                "Count the parts before and after that place.")
    if "device" in text:
        return (f"The module uses a tensor{place} that is neither a parameter nor a buffer, so it stays on its own device ({text}). "
                "Give it to register_buffer.")
    return f"The module does not run{place} on an input of shape {tuple(x.shape)}: {text}"


class _Watch(TorchDispatchMode):
    """Notes each operation that computes something.

    Views, which only look at a tensor in another way, are left out, and so are counters (of batches, say).
    """

    def __init__(self, parameters, saved):
        super().__init__()
        self.path, self.rows, self.saved = [], [], saved
        self.left = {_place(parameter): parameter.numel() for parameter in parameters}

    def leave(self, *_) -> None:
        self.path.pop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if func._overloadpacket is torch.ops.aten.native_batch_norm and not args[5]:
            for statistics in results[1:]:      # in eval mode none are made; only the meta device says otherwise
                self.saved.seen[_place(statistics)] = statistics
        counter = results and results[0].dim() == 0 and not results[0].is_floating_point()
        if results and results[0].numel() and not counter and (func._schema.is_mutable or not {_place(results[0])} & set(map(_place, given))):
            self._note(func, args, kwargs or {}, output, results[0], given)
        return output

    def _note(self, func, args, kwargs, output, result, given) -> None:
        packet = func._overloadpacket
        name = packet.__name__
        if packet in flop_registry:
            macs = flop_registry[packet](*args, **kwargs, out_val=output) // 2
        else:
            macs = 0 if torch.Tag.pointwise in func.tags or name in _CHEAP else None
        fresh = not {_place(result)} & set(map(_place, given))
        self.rows.append(Operation(
            self.path[-1] if self.path else "", name, tuple(result.shape), sum(self.left.pop(_place(t), 0) for t in given), macs,
            math.prod(result.shape) * result.element_size() if fresh else 0))


class _Saved:
    """Adds up the memory that autograd keeps, each once; parameters and buffers are kept anyway."""

    def __init__(self, known):
        self.seen = {_place(tensor): tensor for tensor in known}       # held, so that no place is used twice
        self.bytes = 0

    def pack(self, tensor):
        if _place(tensor) not in self.seen:
            self.seen[_place(tensor)] = tensor
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
