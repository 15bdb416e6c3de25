"""Sphinx settings. Environment pages are generated from the registry before the build reads its sources."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import environment_pages
import palaestra

environment_pages.write(pathlib.Path(__file__).parent / "environments")

project = "palaestra"
author = "The palaestra developers"
release = version = palaestra.__version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "palaestra"
html_static_path = ["_static"]
exclude_patterns = ["_build"]
