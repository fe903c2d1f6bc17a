"""Where explorers live: JupyterLab, and pages on the web."""
