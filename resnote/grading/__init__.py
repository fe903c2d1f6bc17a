"""Points for answers: hidden cases, limits of time and memory, and versions of a lesson for nbgrader and otter-grader."""
