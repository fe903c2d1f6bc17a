"""Pictures as SVG strings: pure functions of numbers, no torch and no widgets."""
