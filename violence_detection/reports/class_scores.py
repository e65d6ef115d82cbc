"""Words for the scores of several classes, on the console and in reports."""

from collections.abc import Iterator, Sequence

from violence_detection.metrics.several_classes import (
    BETWEEN,
    FALSE_ALARM,
    MISS,
    ClassReport,
    ClassScore,
    Confusion,
)
from violence_detection.units import counted

MANY_CLASSES = 6  # of more, a table with a column for each cannot be read
KIND_TITLES = {
    FALSE_ALARM: "Normal videos predicted as violent",
    MISS: "Violent videos predicted as normal",
    BETWEEN: "One class of violence predicted as another",
}
_KIND_WORDS = {FALSE_ALARM: "false alarm", MISS: "missed", BETWEEN: "mixed up"}


def class_lines(report: ClassReport) -> Iterator[str]:
    """The console text of a report on classes: a table, means, confusions and cautions."""
    width = max(len(score.name) for score in report.scores)
    head = f"{'':{width}s}  videos  recordings  precision  recall     F1    AUC"
    yield f"by class    {head}"
    for score in report.scores:
        values = [_value(score, name) for name in ("precision", "recall", "f1", "auc")]
        precision, recall, f1, auc = values
        yield (
            f"            {score.name:{width}s}  {score.videos:6d}  {score.recordings:10d}  "
            f"{precision:>9s}  {recall:>6s}  {f1:>5s}  {auc:>5s}"
        )
    yield (
        f"            macro F1 {report.macro_f1:.3f}, weighted F1 {report.weighted_f1:.3f}, "
        f"mean recall of the classes {report.balanced_accuracy:.3f}"
    )
    if report.best:
        yield f"            best {', '.join(report.best)}; hardest {', '.join(report.hardest)}"
    for kind, words in _KIND_WORDS.items():
        rows = report.confusions_of(kind)
        if rows:
            yield f"{words:11s} {'; '.join(map(confusion_text, rows))}"
    for sentence in anecdote_sentences(report.anecdotes):
        yield f"caution     {sentence}"


def _value(score: ClassScore, name: str) -> str:
    value = getattr(score, name)
    return "none" if value is None or not score.videos else f"{value:.3f}"


def confusion_text(confusion: Confusion) -> str:
    """`fight -> riot 3 (12.5% of fight)`."""
    return (
        f"{confusion.true} -> {confusion.predicted} {confusion.count} "
        f"({confusion.share:.1%} of {confusion.true})"
    )


def anecdote_sentences(anecdotes: Sequence[ClassScore]) -> list[str]:
    """A sentence for the classes with videos from too few recordings; none without such classes."""
    if not anecdotes:
        return []
    listed = ", ".join(
        f"{score.name} ({counted(score.recordings, 'recording')})" for score in anecdotes
    )
    verb, pronoun = ("comes", "it") if len(anecdotes) == 1 else ("come", "them")
    return [
        f"{listed} {verb} from fewer than five recordings: what is said of {pronoun} here is an "
        "anecdote, and no measurement"
    ]
