"""The accuracy of a run on corrupted copies of its test videos."""
