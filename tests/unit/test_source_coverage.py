"""Every row of the article is asserted by a lesson, and the published table says where."""

import pytest
from source_coverage import CLAIMS, TABLE, asserts, covering, table


def test_every_row_is_asserted_by_a_cell_of_a_lesson():
    assert len(CLAIMS) == 38
    assert [claim for claim, cells in covering().items() if not cells] == []


def test_the_published_table_is_the_one_that_the_lessons_make():
    assert TABLE.read_text(encoding="utf-8") == table(), "run: python tools/source_coverage.py"


@pytest.mark.parametrize("source, answer", [
    ("assert a == b", True), ("for a in b:\n    assert a", True), ("torch.testing.assert_close(a, b)", True),
    ("print('assert')", False), ("# assert a", False), ("assertion = 3", False),
    ("try:\n    f()\nexcept ValueError as refused:\n    assert refused", False), ("try:\n    assert a\nexcept ValueError:\n    pass", True),
    ("try:\n    f()\n    raise AssertionError\nexcept ValueError as refused:\n    print(refused)\nassert a", True),
])
def test_a_cell_asserts_by_a_statement_not_by_the_word(source, answer):
    assert asserts(source) == answer
