"""Reports: a list of blocks, rendered to HTML, Markdown and LaTeX."""
