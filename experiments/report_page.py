"""The frame and the look of a report; light or dark as the reader's system is."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{lead}</p></header>
<main>
{body}
</main>
</body>
</html>
"""

# Pictures stay on white in the dark, too: their ink is dark.
STYLE = """
:root { --page: #fbfbfa; --card: #ffffff; --ink: #22262e; --muted: #6b7280; --line: #e3e5ea; --accent: #2b6cb0;
  --alarm: #fdf3e3; --alarm-line: #e0a94a; }
@media (prefers-color-scheme: dark) { :root { --page: #16181d; --card: #1f2229; --ink: #e4e6eb; --muted: #9aa1ae;
  --line: #343945; --accent: #7fb2ec; --alarm: #33291a; --alarm-line: #a87c33; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 2.5rem 1.5rem 5rem; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; letter-spacing: -0.01em; }
h2 { margin: 2.6rem 0 0.9rem; font-size: 1.15rem; }
h3 { margin: 1.6rem 0 0.6rem; font-size: 1rem; color: var(--muted); }
header p { margin: 0.3rem 0 0; }
header p, .note, figcaption { color: var(--muted); }
.note { font-size: 0.87rem; max-width: 62rem; }
.wide { overflow-x: auto; margin: 0.6rem 0 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.5rem 0.85rem; text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 600; font-size: 0.8rem; border-bottom: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
td.number { white-space: nowrap; }
td:first-child { font-weight: 600; }
ul { padding-left: 1.2rem; margin: 0.6rem 0; }
.warning { margin-top: 1.4rem; padding: 0.3rem 1rem; background: var(--alarm); border: 1px solid var(--alarm-line);
  border-radius: 8px; }
figure { margin: 0 0 1.4rem; padding: 0.9rem; background: #ffffff; border: 1px solid var(--line); border-radius: 8px; }
figure img, figure video { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure.film { display: inline-block; vertical-align: top; margin-right: 1rem; }
figcaption { margin-top: 0.6rem; font-size: 0.87rem; color: #6b7280; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
@media print { body { max-width: none; padding: 0; } figure, .wide { break-inside: avoid; } }
"""
