"""For all tests, and for the lessons under nbval."""

pytest_plugins = ["one_red_line"]
