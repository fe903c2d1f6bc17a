"""Wrong versions of a function, made from its source by a program: each with one small change.

`mutants` changes operators, bounds, axes, constants and names, drops terms, factors, calls and statements, cuts
the graph, clips, rounds, changes types, and spoils arguments in place. Some changes leave the function what it was,
or make it one that never returns: the caller has to tell.
"""

from __future__ import annotations

import ast
import inspect
import operator
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import torch


class Mutant(NamedTuple):
    """A changed function, the kind of the change, and the changed source."""

    kind: str
    source: str
    function: Callable


class RunsForEver(RuntimeError):
    """Raised by a mutant whose loop does not end."""


def mutants(function: Callable) -> Iterator[Mutant]:
    """Each changed version of ``function``, or of a class, once, in the same order every time."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    seen = {ast.unparse(tree)}
    for kind, change, undo in chain.from_iterable(map(_changes, _functions(tree))):
        change()
        source = ast.unparse(tree)
        if source not in seen:
            seen.add(source)
            mutant = _compiled(source, function)
            if mutant is not None:
                yield Mutant(kind, source, mutant)
        undo()


def _functions(tree):
    """The function that the source defines, or the methods of the class."""
    defined = tree.body[0]
    return [each for each in defined.body if isinstance(each, ast.FunctionDef)] if isinstance(defined, ast.ClassDef) else [defined]


def _compiled(source, function):
    namespace = dict(vars(sys.modules[function.__module__]), **_HELPERS)
    try:
        tree = ast.parse(source)
    except SyntaxError:  # what was put together is no Python
        return None
    for loop in ast.walk(tree):
        if isinstance(loop, ast.While):
            loop.body.insert(0, ast.parse("_tick(_ticks)").body[0])
    for each in _functions(tree):
        each.body.insert(0, ast.parse("_ticks = [0]").body[0])
    try:
        exec(compile(ast.fix_missing_locations(tree), "mutant", "exec"), namespace)
    except SyntaxError:
        return None
    return namespace[function.__name__]


# --- helpers that mutants call -----------------------------------------------------------------------


def _tick(ticks):
    ticks[0] += 1
    if ticks[0] > 5000:
        raise RunsForEver


def _clipped(least, most):
    return lambda v: v.clamp(least, most) if isinstance(v, torch.Tensor) else max(least, min(most, v))


def _spoil(value):
    """Changes a tensor or a list in place."""
    if isinstance(value, torch.Tensor):
        value.data.add_(1)
    else:
        value.reverse()
        value.append(value[0] if value else 0)


def _passing(rule):
    """A comparison of shapes that calls some different ones equal."""
    def differ(a, b):
        return len(a) != len(b) or any(m != n and not rule(m, n) for m, n in zip(a, b))
    return differ


_HELPERS = {
    "torch": torch, "_tick": _tick, "_spoil": _spoil,
    "_iadd": operator.iadd, "_isub": operator.isub, "_imul": operator.imul, "_itruediv": operator.itruediv,
    "_positive": _clipped(0, float("inf")), "_at_most_1": _clipped(-float("inf"), 1), "_within_1": _clipped(-1, 1),
    "_small_up": lambda v: v.clamp(min=1e-5) if isinstance(v, torch.Tensor) else max(v, 1e-5),
    "_rounded": lambda v: v.round(decimals=3) if isinstance(v, torch.Tensor) else round(v, 3),
    "_single": lambda v: v.to(torch.float32), "_double": lambda v: v.to(torch.float64),
    "_tensor": lambda v: v if isinstance(v, torch.Tensor) else torch.tensor([v, v]),
    "_axis_of_1_passes": _passing(lambda m, n: 1 in (m, n)),
    "_1_on_the_left_passes": _passing(lambda m, n: m == 1), "_1_on_the_right_passes": _passing(lambda m, n: n == 1),
}

# Applied to names where they are read, and to what statements compute.
_OF_NAMES = {
    "abs": "abs({})", "sign": "-{}", "cut": "{}.detach()", "part": "{}[:1]", "rest": "{}[1:]", "all but the last": "{}[:-1]",
    "clipped": "_positive({})", "clipped at 1": "_at_most_1({})", "drift": "{} * 1.001", "offset": "{} + 0.001",
    "small up": "_small_up({})",
}
_OF_VALUES = _OF_NAMES | {
    "rounded": "_rounded({})", "clipped to 1": "_within_1({})", "single": "_single({})", "double": "_double({})",
    "float": "float({})", "text": "str({})", "relu": "torch.relu({})", "flipped": "{}.flip(0)",
    "doubled": "2 * {}", "number": "({}).sum()", "transposed": "({}).transpose(-1, -2)", "a vector": "_tensor({})",
}
_OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add, ast.Mult), ast.Mult: (ast.Div, ast.Add, ast.Pow),
    ast.Div: (ast.Mult, ast.Sub, ast.FloorDiv), ast.FloorDiv: (ast.Mult, ast.Div, ast.Mod), ast.Pow: (ast.Mult, ast.BitXor),
    ast.MatMult: (ast.Mult,),
}
_COMPARISONS = ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq
_METHODS = {
    "mean": ("sum", "median"), "sum": ("mean", "prod"), "var": ("std",), "all": ("any",), "any": ("all",), "sqrt": ("square", "exp"),
    "zeros_like": ("ones_like",), "new_zeros": ("new_ones",), "relu": ("tanh", "abs"), "permute": ("reshape",), "max": ("min",),
    "eval": ("train",), "randn": ("rand", "zeros", "ones"), "allclose": ("equal",), "abs": ("neg",), "stack": ("cat",),
    "append": ("extend",), "requires_grad": ("is_leaf",),
}


# --- the changes ---------------------------------------------------------------------------------------


def _changes(tree):
    """(kind, change, undo) for each single change of the function ``tree``."""
    names = [arg.arg for arg in tree.args.args]
    names += sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} - {*names})
    words = sorted({node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)})
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.expr):
                for kind, new in _instead_of(value, parent, field, names, words):
                    yield kind, *_swap(parent, field, value, new)
            elif isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                for kind, new in _other_bodies(value, parent, tree):
                    yield kind, *_swap(parent, field, value, new)
            elif isinstance(value, list):
                for place, item in enumerate(value):
                    for kind, new in _instead_of(item, parent, field, names, words) if isinstance(item, ast.expr) else ():
                        yield kind, *_swap(parent, field, value, [*value[:place], new, *value[place + 1:]])
                    if isinstance(parent, ast.Tuple) or isinstance(item, ast.keyword) or field == "args" and len(value) > 1:
                        yield "dropped item", *_swap(parent, field, value, value[:place] + value[place + 1:])
                        if place and not isinstance(item, ast.keyword):
                            yield "exchanged", *_swap(parent, field, value,
                                                      [*value[:place - 1], item, value[place - 1], *value[place + 1:]])


def _swap(parent, field, old, new):
    return (lambda: setattr(parent, field, new)), (lambda: setattr(parent, field, old))


def _expression(text, **parts):
    """An expression from text, the names in it that are ``parts`` replaced."""
    class Fill(ast.NodeTransformer):
        def visit_Name(self, node):
            return parts.get(node.id, node)
    return Fill().visit(ast.parse(text, mode="eval").body)


def _instead_of(node, parent, field, names, words):
    """(kind, expression) that may stand where ``node`` stands in ``parent``."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or isinstance(parent, ast.arguments):
        return
    statement = isinstance(parent, (ast.Assign, ast.AugAssign, ast.Return)) or isinstance(parent, ast.Tuple) and not isinstance(
        node, ast.Constant)
    local = isinstance(node, ast.Name) and node.id in names
    if local:
        for name in names:
            yield "name", ast.Name(name, ast.Load())
    if local or statement and not isinstance(node, (ast.Tuple, ast.Slice)):
        for kind, text in (_OF_VALUES if statement else _OF_NAMES).items():
            yield kind, _expression(text.format("it"), it=node)
    if isinstance(node, ast.BinOp):
        for other in _OPERATORS[type(node.op)]:
            yield "operator", ast.BinOp(node.left, other(), node.right)
        yield "dropped term", node.left
        yield "dropped term", node.right
        yield "sides exchanged", ast.BinOp(node.right, node.op, node.left)
        for kind, name in ((ast.Add, "_iadd"), (ast.Sub, "_isub"), (ast.Mult, "_imul"), (ast.Div, "_itruediv")):
            if isinstance(node.op, kind):
                yield "in place", _expression(f"{name}(a, b)", a=node.left, b=node.right)
        yield "cut", _expression("(it).detach()", it=node)
    elif isinstance(node, ast.UnaryOp):
        yield "dropped sign", node.operand
    elif isinstance(node, ast.Compare):
        yield from _other_comparisons(node)
    elif isinstance(node, ast.IfExp):
        yield "no choice", node.body
        yield "no choice", node.orelse
    elif isinstance(node, ast.Constant):
        yield from _other_constants(node.value, words)
    elif isinstance(node, ast.Call):
        yield from _other_calls(node)
    elif isinstance(node, ast.Subscript):
        yield "dropped subscript", node.value
    elif isinstance(node, ast.Slice):
        yield "whole slice", ast.Slice()
        yield "slice from 1", ast.Slice(ast.Constant(1), node.upper, node.step)
    elif isinstance(node, ast.Attribute) and node.attr in _METHODS:
        for other in _METHODS[node.attr]:
            yield "method", ast.Attribute(node.value, other, node.ctx)
    if field == "test":
        yield "negated", ast.UnaryOp(ast.Not(), node)
        yield "always", ast.Constant(True)
        yield "never", ast.Constant(False)


def _other_comparisons(node):
    for other in _COMPARISONS:
        yield "comparison", ast.Compare(node.left, [other()], node.comparators)
    if isinstance(node.left, ast.Attribute) and node.left.attr == "shape":
        parts = {"a": node.left, "b": node.comparators[0], "x": node.left.value, "y": node.comparators[0].value}
        for text in ("a[1:] != b[1:]", "a[:1] != b[:1]", "a[2:] != b[2:]", "a[1] != b[1]", "a[-1] != b[-1]", "a[:-1] != b[:-1]",
                     "a[:2] != b[:2]", "x.dim() != y.dim()", "x.numel() != y.numel()", "sorted(a) != sorted(b)",
                     "x.numel() < y.numel()", "x.numel() > y.numel()", "len(x) != len(y)", "a[-2:] != b[-2:]",
                     "a[0] != b[0] or a[2:] != b[2:]", "x.dtype != y.dtype",
                     "_axis_of_1_passes(a, b)", "_1_on_the_left_passes(a, b)", "_1_on_the_right_passes(a, b)"):
            yield "shape check", _expression(text, **parts)


def _other_constants(value, words):
    if isinstance(value, bool):
        others = (not value,)
    elif isinstance(value, int):
        others = value + 1, value - 1, -value, 2 * value, value * 1.01, None
    elif isinstance(value, float):
        others = value * 1.2, value * 1.02, value * 0.98, value / 2, -value, 10 * value, 0.0
    else:
        others = words if isinstance(value, str) else ()
    for other in others:
        yield "constant", ast.Constant(other)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield "axes", _expression("(0, 2)")
        yield "axes", _expression("(0, 1, 2, 3)")


def _other_calls(node):
    if isinstance(node.func, ast.Attribute):
        yield "dropped call", node.func.value
        for name in ("detach", "abs", "relu"):
            yield name, _expression(f"(it).{name}()", it=node)
    if node.args:
        yield "dropped call", node.args[0]
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("mean", "var", "std", "sum"):
        for keyword in ("correction=1", "correction=0", "keepdim=True"):
            name = keyword.split("=")[0]
            if name not in [each.arg for each in node.keywords]:
                extra = ast.parse(f"f({keyword})", mode="eval").body.keywords
                yield "keyword", ast.Call(node.func, node.args, node.keywords + extra)
        for dims in ("0", "1", "(0, 1)", "(2, 3)", "(0, 2)", "(0, 3)", "(0, 1, 2, 3)", "(1, 2, 3)", "-1"):
            keywords = [each for each in node.keywords if each.arg != "dim"]
            yield "axes", ast.Call(node.func, [_expression(dims)], keywords)


def _other_bodies(body, parent, tree):
    for place, statement in enumerate(body):
        rest = body[:place], body[place + 1:]
        if len(body) > 1:
            yield "dropped statement", [*rest[0], *rest[1]]
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Return)):
            yield "no_grad", [*rest[0], _block("with torch.no_grad(): pass", [statement]), *rest[1]]
        if isinstance(statement, ast.Raise):
            yield "other error", [*rest[0], ast.parse("raise TypeError('shapes')").body[0], *rest[1]]
            yield "other error", [*rest[0], ast.parse("return ValueError('shapes')").body[0], *rest[1]]
            yield "other error", [*rest[0], ast.parse("raise RuntimeError('shapes')").body[0], *rest[1]]
        if isinstance(parent, (ast.For, ast.While)):
            yield "loop ends", [*body, ast.Break()]
            yield "loop ends", [*body, ast.parse("return total").body[0]]
    if parent is tree:
        for arg in tree.args.args:
            yield "spoiled argument", [_block(f"try: pass\nfinally: _spoil({arg.arg})", body)]


def _block(text, body):
    block = ast.parse(text).body[0]
    block.body = list(body)
    return block
