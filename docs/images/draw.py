"""Draws `examples.svg`, the picture in the README, from a real run of the examples.

    pip install rich
    python docs/images/draw.py

Run it from the root of a checkout, with pytest-procpar installed, when what the terminal shows has changed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 120
COMMAND = ["pytest", "-n", "4", "examples/", "--tb=no"]

#: Plugins of whoever draws, and where: nothing that a reader has to know.
NOISE = re.compile(r"^(platform|rootdir|configfile|plugins)\b")

#: The fonts that rich asks a server for: the reader's own monospaced one will do.
FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """Run, draw, write."""
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "PY_COLORS": "1", "PYTHONPATH": ""}
    run = subprocess.run(
        [sys.executable, "-m", *COMMAND],
        env=environ,
        stdout=subprocess.PIPE,
        check=False,
    )
    lines = [f"$ {' '.join(COMMAND)}", *run.stdout.decode().splitlines()]
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    for line in lines:
        if not NOISE.match(line):
            console.print(Text.from_ansi(line), soft_wrap=False)
    svg = FONTS.sub("", console.export_svg(title="pytest-procpar", unique_id="procpar"))
    svg = svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono")
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    Path(__file__).with_name("examples.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
