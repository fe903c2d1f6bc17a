"""An explorer without a page: what it shows, and the positions of its controls."""

import ipywidgets as widgets


def html(explorer) -> str:
    """All parts of the live picture."""
    return "".join(view.value for view in explorer.views.values())


def positions(control) -> list:
    """All positions of a control, in its order."""
    if isinstance(control, widgets.IntSlider):
        return list(range(control.min, control.max + 1))
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    return [option[1] if isinstance(option, tuple) else option for option in control.options]
