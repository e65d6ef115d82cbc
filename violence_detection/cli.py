"""The command line: all commands, by section. It imports neither TensorFlow nor NumPy."""

import click

from violence_detection import __version__
from violence_detection.commands import watch_scores  # noqa: F401  adds commands to `watch`
from violence_detection.commands._command import Group
from violence_detection.commands.ablate import ablate
from violence_detection.commands.advise import advise
from violence_detection.commands.cache import cache
from violence_detection.commands.check import check
from violence_detection.commands.compare import compare
from violence_detection.commands.convert_weights import convert_weights
from violence_detection.commands.cross_dataset import cross_dataset
from violence_detection.commands.cross_validate import cross_validate
from violence_detection.commands.demo import demo
from violence_detection.commands.doctor import doctor
from violence_detection.commands.ensemble import ensemble
from violence_detection.commands.evaluate import evaluate
from violence_detection.commands.evaluate_events import evaluate_events
from violence_detection.commands.export import export
from violence_detection.commands.extract_features import extract_features
from violence_detection.commands.federate import federate
from violence_detection.commands.import_annotations import import_annotations
from violence_detection.commands.label import label
from violence_detection.commands.mine import mine
from violence_detection.commands.predict import predict
from violence_detection.commands.robustness import robustness
from violence_detection.commands.runs import runs
from violence_detection.commands.train import train
from violence_detection.commands.tune import tune
from violence_detection.commands.users import users
from violence_detection.commands.watch import watch


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="violence-detection")
def main() -> None:
    """Train a violence detector on your own videos, and apply it.

    \b
    Stage one makes a small array of features of every video:
        violence-detection extract-features my_videos
    Stage two trains on these arrays, in minutes:
        violence-detection train --dataset-path my_videos
    """


main.section(
    "Prepare the data",
    *(check, extract_features, convert_weights, cache, label, mine, import_annotations),
)
main.section("Train", advise, train, ensemble, tune, federate)
main.section(
    "Evaluate",
    *(evaluate, evaluate_events, cross_validate, cross_dataset, ablate, compare, robustness, runs),
)
main.section("Use", predict, export)
main.section("Watch cameras", watch, users)
main.section("Try it", demo, doctor)

if __name__ == "__main__":
    main(prog_name="violence-detection")
