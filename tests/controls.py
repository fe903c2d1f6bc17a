"""The positions of an explorer's controls."""

import ipywidgets as widgets


def positions(control) -> list:
    """All positions of a control, in its order."""
    if isinstance(control, widgets.IntSlider):
        return list(range(control.min, control.max + 1))
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    return [option[1] if isinstance(option, tuple) else option for option in control.options]
