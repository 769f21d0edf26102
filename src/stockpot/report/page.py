"""The page of a comparison."""

from collections.abc import Mapping

from ..evaluation.results.comparison import ADAPTED, ADAPTED_WORDS, ALL_TASKS, Comparison
from ..evaluation.results.intervals import TOO_FEW
from ..pages.page import Page, Section
from ..pages.styles import TABLE_1
from ..pages.units import readable, short
from . import tables as sheets
from .dispersion import dispersion_table
from .drawings import figures
from .metric_rows import AVERAGED, metric_rows
from .task_tables import across_tasks, normalised_results

CHOICES: Mapping[str, str] = {
    "single-best": "Keep the best single network",
    "uniform-soup": "Soup them all",
    "greedy-soup": "Soup them greedily",
    "logits-ensemble": "Keep them all and run the ensemble",
    "undecided": "The data do not decide",
    "nothing-to-decide": "Nothing to decide",
    # As versions before this called them.
    "keep-best": "Keep the best single network",
    "ensemble": "Keep them all and run the ensemble",
}
"""A verdict's choice as advice; any other is a method to take."""


_MOST = 3
"""Networks and data sets that the line under a title names."""

METHODS: Mapping[str, str] = {
    "single-mean": "The mean score of the single networks.",
    "single-best": "The network that scores best on the selection split.",
    "uniform-soup": "One network: the mean of all weights.",
    "greedy-soup": "One network: the mean of those that do not lower the selection score in turn.",
    "learned-soup": "One network: a weighted mean, the weights learned on the selection split.",
    "logits-ensemble": "All networks run; the mean of their outputs before the softmax.",
    "probabilities-ensemble": "All networks run; the mean of their probabilities.",
    "features-ensemble": "All networks run; the mean of their features, under the mean of heads.",
    "features-ensemble-first-head": "As features-ensemble, under the first network's head.",
    "greedy-logits-ensemble": "As logits-ensemble, of networks chosen as for greedy-soup.",
    "greedy-features-ensemble": "As features-ensemble, of networks chosen as for greedy-soup.",
    "distilled": "One network, taught by the ensemble.",
    "individual": "A network of its own for each task.",
}
"""What methods are, in a sentence; `stockpot methods NAME` has the merges."""


def comparison_page(comparison: Comparison) -> Page:
    """What the page says: verdict, tables, figures, costs, facts.

    Parts for which the comparison has nothing are left out.

    Raises:
        StockpotError: where the comparison has no row of a whole split.
    """
    return Page(
        title=comparison.title,
        subject=_subject(comparison),
        choice=_choice(comparison),
        tested=sheets.evidence(comparison),
        sentences=tuple(dict.fromkeys(map(readable, comparison.sentences))),
        sections=_sections(comparison),
        figures=figures(comparison),
        facts=comparison.facts,
        measured=how_it_was_measured(comparison),
        glossary=_glossary(comparison),
    )


def _subject(comparison: Comparison) -> str:
    """The networks and the data, where the rows name them."""
    rows = comparison.overall()
    networks = [name for name in dict.fromkeys(row.network for row in rows) if name]
    data = [n for n in dict.fromkeys(row.data for row in rows) if n and n != ALL_TASKS]
    said = [
        ", ".join(short(some[:_MOST], 40)) + (" ..." if len(some) > _MOST else "")
        for some in (networks, data)
    ]
    return readable(" on ".join(filter(None, said)))


def _glossary(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """What the methods are, and what the paper calls them."""
    names = dict.fromkeys(row.method for row in comparison.overall())
    return tuple(
        (
            name,
            METHODS[name]
            + (
                f" Table 1 of arXiv 2411.09263 has it as {TABLE_1[name]}."
                if name in TABLE_1
                else ""
            ),
        )
        for name in names
        if name in METHODS
    )


def how_it_was_measured(comparison: Comparison) -> tuple[str, ...]:
    """What the numbers mean, in sentences, as far as the rows show it."""
    rows = comparison.overall()
    pools = {row.seed for row in rows if row.seed != AVERAGED}
    splits = {row.split for row in rows}
    said: list[str] = []
    if "selection" in splits or comparison.verdict:
        said.append(
            "Whatever was chosen was chosen on the selection split; the test split was looked at "
            "once, for the numbers here."
        )
    adapted = dict.fromkeys(row.method for row in rows if row.kind == ADAPTED)
    if adapted:
        said.append(
            f"But {', '.join(adapted)}: {ADAPTED_WORDS}. Such a row is test-time adaptation and no "
            "forecast for data that come later."
        )
    if any(row.seed == AVERAGED for row in rows):
        count = f"{len(pools)} pools" if len(pools) > 1 else "pools"
        few = len(pools) == 2
        said.append(
            f"Values are means over {count} of networks, each trained with a seed of its own. "
            + (f"{TOO_FEW[0].upper()}{TOO_FEW[1:]}: take three or more. " if few else "")
            + ("" if few else "The intervals cover pools and the test samples that they share. ")
            + "Subsets of one pool are averaged and not counted as independent."
        )
    elif len(pools) == 1:
        said.append(
            "There is one pool of networks. The intervals are over test samples: they do not say "
            "how networks trained with other seeds would do."
        )
    if any(row.part != "all" for row in comparison.rows):
        said.append(
            "Parts and views of the test split, such as samples of another domain or images made "
            "worse, are reported beside it. Nothing was chosen on them, and what is concluded is "
            "concluded from the whole test split as it is."
        )
    said.append(
        "Differences are paired: both methods saw the same samples. An output that is not finite "
        "counts as wrong."
    )
    if comparison.verdict:
        unit = metric_rows(comparison).unit
        margin = f"{unit.show(comparison.verdict.margin)} {unit.gap_label()}"
        said.append(f"Differences of up to {margin} count as none (the margin of equivalence).")
    return tuple(readable(one) for one in said)


def _choice(comparison: Comparison) -> str:
    if comparison.verdict is None:
        return ""
    choice = comparison.verdict.choice
    return CHOICES.get(choice, f"Take {readable(choice)}")


def _best(comparison: Comparison) -> str:
    return comparison.verdict.best if comparison.verdict else ""


def _sections(comparison: Comparison) -> tuple[Section, ...]:
    """The sections of tables."""
    return (
        Section(
            "results",
            "Results",
            _present(
                across_tasks(comparison),
                sheets.results(metric_rows(comparison), _best(comparison)),
                *normalised_results(comparison),
                dispersion_table(comparison),
            ),
            _present(*sheets.further_results(comparison)),
        ),
        Section(
            "parts",
            "Parts and views of the test split",
            _present(sheets.parts(comparison)),
            _present(sheets.part_differences(comparison), sheets.further_parts(comparison)),
        ),
        Section(
            "differences",
            "Differences",
            folded=_present(sheets.differences(comparison), sheets.further_differences(comparison)),
        ),
        Section("costs", "Costs", (sheets.costs(comparison),)),
        Section("greedy", "Greedy decisions", folded=_present(sheets.decisions(comparison))),
        Section("mistakes", "Mistakes", _present(sheets.confusions(comparison))),
    )


def _present(*candidates: sheets.Table | None) -> tuple[sheets.Table, ...]:
    return tuple(one for one in candidates if one is not None)
