"""`stockpot report RUN`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...report.for_papers import FigureFormat, TableFormat
from ..console import print_json, say
from ..flags import Json, Quiet

Run = Annotated[Path, Parameter(help="The folder of a finished run, or the results.json in it.")]


Figures = Annotated[
    tuple[FigureFormat, ...],
    Parameter(help="Write each figure as a file of these formats: svg, pdf, png."),
]


def report(
    run: Run,
    /,
    *,
    figures: Figures = (),
    latex: bool = False,
    wide: bool = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make the page of a run again from its results.json, without models and without data.

    Of whatever writes a report.html: compare, search, federate, demo, every study. The same version
    of stockpot makes the same bytes.

    Args:
        latex: Write the main table as table.tex, for booktabs.
        wide: Write the main table as table.csv, as the page has it.
    """
    del quiet  # there is nothing but the result
    from ...report import export, rebuild

    page = rebuild(run)
    tables: list[TableFormat] = []
    if latex:
        tables.append("tex")
    if wide:
        tables.append("csv")
    files = export(run, figures, tables) if figures or tables else ()
    if json:
        written = {"files": list(map(str, files))} if files else {}
        print_json({"page": str(page), "bytes": page.stat().st_size, **written})
    else:
        say(f"{page} is made again.")
        for file in files:
            say(f"{file} is written.")
    return 0
