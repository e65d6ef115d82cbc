"""The command line as `python -m violence_detection`."""

from violence_detection.cli import main

main(prog_name="violence-detection")
