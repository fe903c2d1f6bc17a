"""docs/source-coverage.md: what the article says, row by row, and the cells that assert what is true of it.

    python tools/source_coverage.py        writes the table anew

A code cell covers the rows whose ids it carries as tags, if it holds an assertion.
"""

import ast
import dis
import re
from types import CodeType

import nbformat
from save_notebooks import NOTEBOOKS

TABLE = NOTEBOOKS.parent / "docs" / "source-coverage.md"

CLAIMS = {
    "P1": "Stacked layers make plain networks hard to train: vanishing gradients, overfitting",
    "P2": "The remedies: ReLU and batch normalization",
    "R1": "A residual block adds the earlier value: F(x) + x",
    "R2": "The sum is called the residual mapping",
    "R3": "The block's code, with channel numbers that look free",
    "R4": "Stacked residual blocks make a ResNet",
    "B1": "A convolution has k·k·C_in·C_out parameters",
    "B2": "A 1×1 convolution changes the number of channels cheaply",
    "B3": "The example: 256 channels, 320×320 pixels",
    "B4": "A 1×1 convolution sees no neighbours",
    "B5": "A 3×3 costs nine times a 1×1, so shrink first",
    "B6": "Then grow the channels back",
    "B7": "Shrinking and growing loses information",
    "B8": "Table of the standard block: 331,776 parameters",
    "B9": "Table of the bottleneck: 135,424 parameters",
    "B10": "Four times the channels, a third of the parameters",
    "B11": "Listings in the form of a model summary",
    "N1": "Learning fails where gradients vanish or explode",
    "N2": "sigmoid and tanh squash; sigmoid maps to [0, 1]; ReLU is the remedy",
    "N3": "Batch norm steadies and speeds up learning",
    "N4": "Internal covariate shift is the cause, and batch norm removes it",
    "N5": "Whitening: mean 0, variance 1, decorrelated",
    "N6": "Normalised inputs fall where a sigmoid is nearly linear",
    "N7": "Subtracting the mean cancels the bias; β takes its place",
    "N8": "Algorithm 1",
    "N9": "The six backward equations",
    "N10": "ε guards the division; γ and β are learned",
    "N11": "g(Wx + b) becomes g(BN(Wx))",
    "N12": "At inference the batch's statistics cannot be used",
    "N13": "Moving averages of mean and variance",
    "N14": "Means of batch means and, with Bessel's factor, of batch variances",
    "N15": "Training and test are two modes",
    "N16": "In convolutional networks: one pair (γ, β) a channel",
    "N17": "Large learning rates; the scale of the weights does not matter",
    "N18": "Batch norm regularises, so that dropout is not needed",
    "N19": "Training is non-deterministic; the learning rate may decay more slowly",
    "N20": "Saturating activations can be trained",
    "N21": "At inference batch norm is one linear map",
}


def asserts(source: str) -> bool:
    """Whether a cell holds an assert statement, or calls assert_close or the like, outside an ``except``.

    What stands behind ``except`` may never be reached.
    """
    def inside(node):
        return isinstance(node, ast.Assert) or (
            isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1].startswith("assert_")) or any(
            inside(child) for child in ast.iter_child_nodes(node) if not isinstance(child, ast.ExceptHandler))
    return inside(ast.parse(source))


def names(code):
    """Names that a cell binds, and names that it, or a function in it, takes from other cells."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    bound = {name for step, name in steps if step == "STORE_NAME"}
    used = {name for step, name in steps if step in ("LOAD_NAME", "LOAD_GLOBAL")}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            used |= names(inner)[1]
    return bound, used - bound


def covering() -> dict[str, list[tuple[str, str, str, str]]]:
    """For each row of the article: (file, lesson's title, section, cell id) of every cell that asserts it."""
    found = {claim: [] for claim in CLAIMS}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        title = section = ""
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for marks, words in re.findall(r"^(#+) (.*)$", cell.source, re.M):
                    title, section = (words, "") if marks == "#" else (title, words)
            elif asserts(cell.source):
                for claim in set(cell.metadata.get("tags", [])) & CLAIMS.keys():
                    found[claim].append((path.name, title, section, cell.id))
    return found


def table() -> str:
    lines = ["# What the article says, and where a lesson asserts what is true of it", "",
             "Made by `python tools/source_coverage.py` from the tags of the lessons' cells, and checked by a test.", "",
             "| | the article says | lesson, section | cells that assert |", "|---|---|---|---|"]
    for claim, cells in covering().items():
        places = dict.fromkeys(f"[{title.split(' · ')[0]}](../notebooks/{file}), {section}"
                               for file, title, section, _ in cells)
        ids = ", ".join(f"`{cell}`" for *_, cell in cells)
        lines.append(f"| {claim} | {CLAIMS[claim]} | {'; '.join(places)} | {ids} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    print(TABLE)
