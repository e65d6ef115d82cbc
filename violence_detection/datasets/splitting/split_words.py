"""The words that name a split: `train`, `Val`, `test_set`, …"""

import re
import unicodedata

SPLITS = ("train", "validation", "test")
_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "validating", "dev", "devel", "development"),
        "validation",
    ),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}
_OF_VIDEOS = re.compile(r"(?:sets?|splits?|data|videos?|clips?)$")


def split_of_word(word: str) -> str:
    """The split that a word names, `train`, `validation` or `test`; empty if it names none.

    Case, blanks and punctuation do not count, nor does an ending such as `set`: `Training`,
    `test_set`, `VAL `. Words that some people use for validation and others for the test (`eval`)
    name none.
    """
    plain = re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKC", word).casefold())
    return _WORDS.get(plain) or _WORDS.get(_OF_VIDEOS.sub("", plain), "")
