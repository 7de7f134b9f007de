"""The frame of every page: templates, style, script, and the file that they end in."""
