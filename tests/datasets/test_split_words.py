"""The words that people use for a split."""

import pytest

from violence_detection.datasets.splitting.split_words import split_of_word


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("train", "train Training TRAIN trainset train_set train-videos Training_Set trn train1"),
        ("validation", "val VALID validation dev Development val_set validation_data"),
        ("test", "test Testing test_set TestSet hold-out held_out testvideos"),
        (
            "",
            "eval evaluation fight normal trainer testimony 1 set videos valley development2fight",
        ),
    ],
)
def test_words_name_a_split(split, words):
    assert {word: split_of_word(word) for word in words.split()} == dict.fromkeys(
        words.split(), split
    )


def test_blanks_do_not_count():
    assert split_of_word(" test set ") == "test"
