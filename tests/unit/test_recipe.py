"""The recipe of He et al., §4.2: the rate at its steps, orders and changes that follow from a seed and a number."""

import pytest
import torch

from resnote.recipe import changed, changes, learning_rate, order


def test_the_rate_falls_where_the_papers_does():
    rates = {step: learning_rate(step, 64_000, 0.1) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)}
    assert list(rates.values()) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    warm = [learning_rate(step, 64_000, 0.1, warm_up=400) for step in (0, 399, 400)]
    assert warm == pytest.approx([0.01, 0.01, 0.1])
    assert [learning_rate(step, 10, 0.2, schedule="cosine") for step in (0, 5)] == pytest.approx([0.2, 0.1])


def test_an_order_holds_every_image_once_and_follows_from_seed_and_epoch_alone():
    torch.manual_seed(1)
    one = order(3, 2, 100)
    torch.manual_seed(2)
    assert torch.equal(one, order(3, 2, 100)) and one.sort().values.tolist() == list(range(100))
    assert not torch.equal(one, order(3, 3, 100)) and not torch.equal(one, order(4, 2, 100))


def test_changes_follow_from_seed_and_step_and_take_every_value_about_equally_often():
    how = changes(0, 5, 9_000, 1, True)
    assert torch.equal(how, changes(0, 5, 9_000, 1, True)) and not torch.equal(how, changes(0, 6, 9_000, 1, True))
    for column, values in ((0, (-1, 0, 1)), (1, (-1, 0, 1)), (2, (0, 1))):
        counts = [(how[:, column] == value).sum().item() for value in values]
        assert sum(counts) == 9_000 and min(counts) > 0.9 * 9_000 / len(values)
    assert not changes(0, 5, 100, 1, False)[:, 2].any()


@pytest.mark.parametrize("how", [(0, 0, 0), (1, -2, 0), (-2, 0, 1), (2, 2, 1), (0, 0, 1)])
def test_a_changed_image_is_moved_and_mirrored_as_it_says(how):
    images = torch.arange(1., 2 * 3 * 5 * 6 + 1).reshape(2, 3, 5, 6)
    down, right, mirrored = how
    expected = torch.zeros_like(images)
    for y in range(5):
        for x in range(6):
            if 0 <= y - down < 5 and 0 <= x - right < 6:
                expected[:, :, y, x] = images[:, :, y - down, x - right]
    if mirrored:
        expected = expected.flip(3)
    assert torch.equal(changed(images, torch.tensor([how, how])), expected)
    apart = changed(images, torch.tensor([how, (0, 0, 0)]))
    assert torch.equal(apart[0], expected[0]) and torch.equal(apart[1], images[1])
