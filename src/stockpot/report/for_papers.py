"""Figures and the main table of a run as files for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import OutputError
from ..pages.drawing import draw
from ..pages.figures import nothing_to_see
from ..pages.latex import latex, wide_csv
from ..pages.page import Page, write_files
from ..pages.svg import save_figure
from .files import read_page

FigureFormat = Literal["svg", "pdf", "png"]
TableFormat = Literal["tex", "csv"]


def export(
    run: Path,
    figures: Sequence[FigureFormat] = (),
    tables: Sequence[TableFormat] = (),
) -> tuple[Path, ...]:
    """Write a run's figures at the size of a paper's column, or of its page, and its main table.

    Figures go to figures/NAME.FORMAT, the table to table.tex (booktabs) and table.csv, in the run's
    folder, replacing those of before. Text in figures is 8 points; equal results give equal bytes.

    Args:
        run: the folder of a run, or its results.json.
        figures: formats of figures.
        tables: formats of the table.

    Returns:
        What was written. A figure with nothing to see has no file.

    Raises:
        CheckpointError: it is no results file, or damaged.
        OutputError: a file cannot be written, or there is no table.
        ExtraError: without matplotlib.
    """
    folder = run if run.is_dir() else run.parent
    page = read_page(run)
    written = [path for form in figures for path in _figures(page, folder / "figures", form)]
    if tables:
        table = next((one for section in page.sections for one in section.tables), None)
        if table is None:
            raise OutputError(f"{folder} has no table to write.")
        texts = {"tex": latex, "csv": wide_csv}
        write_files(folder, {f"table.{form}": texts[form](table) for form in tables})
        written += [folder / f"table.{form}" for form in tables]
    return tuple(written)


def _figures(page: Page, folder: Path, form: FigureFormat) -> list[Path]:
    seen = [one for one in page.figures if not nothing_to_see(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in seen:
            save_figure(draw(one), folder / f"{one.name}.{form}", form)
    except OSError as error:
        raise OutputError(f"cannot write figures into {folder}: {error.strerror}.") from None
    return [folder / f"{one.name}.{form}" for one in seen]
