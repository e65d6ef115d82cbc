"""Tables have the documented columns and types, and the values that are on disk."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import violence_detection
from violence_detection.errors import CacheError, RunError
from violence_detection.reports import pandas_tables
from violence_detection.reports.pandas_tables import WindowRow

MANIFEST = Path("cache") / "mine" / "space"
HEADER = (
    "path,label,group,split,size,mtime,digest,array_digest,frames,fps,duration_s,status,error,views,"
    "camera,recorded_at"
)
HEADER_TEXTS = ("path", "group", "digest", "array_digest", "error", "camera", "recorded_at")
ROWS = [
    "a/1.mp4,fight,r1,train,10,1795995361616035523,d1,e1,50,25.0,2.0,ok,,v1 v2,gate,"
    "2024-05-31T21:40:00",
    "a/2.mp4,fight,r2,train,20,1795995361616035524,d2,e2,75,25.0,3.0,damaged,cut short,,,",
    'b/3.mp4,normal,"r, 3",test,0,0,,,0,0.0,0.0,failed,no such file,,,',
]
EVALUATED = [
    "a/1.mp4,fight,r1,0.75,fight,True",
    "a/2.mp4,fight,r2,0.25,normal,False",
    "gone.mp4,fight,r4,0.5,fight,True",
]


@pytest.fixture
def features(tmp_path) -> Path:
    folder = tmp_path / MANIFEST
    folder.mkdir(parents=True)
    (folder / "manifest.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    (folder / "extraction.json").write_text("{}")
    splits = "path,label,group,split,source\na/2.mp4,fight,r2,validation,drawn\n"
    (folder.parent / "splits.csv").write_text(splits)
    return folder


@pytest.fixture
def run(features, tmp_path) -> Path:
    folder = tmp_path / "run"
    evaluated = folder / "evaluation" / "test"
    evaluated.mkdir(parents=True)
    header = "path,label,group,probability,predicted,correct"
    (evaluated / "predictions.csv").write_text("\n".join([header, *EVALUATED]) + "\n")
    row = {"videos": 2, "errors": 1, "error_rate": 0.5, "ci": [0.1, 0.9], "misses": 1}
    row |= {"name": "r1", "false_alarms": 0}
    errors = {"recording": [row, row | {"name": "r2"}], "duration": [row | {"name": "up to 1.5 s"}]}
    metrics = {"classes": ["normal", "fight"], "features": str(features), "errors_by": errors}
    (evaluated / "metrics.json").write_text(json.dumps(metrics))
    history = "epoch,loss,val_loss,val_auc\n1,0.5,0.6,\n2,0.25,0.5,0.9\n"
    (folder / "training_history.csv").write_text(history)
    return folder


def types_of(table: pd.DataFrame) -> dict[str, str]:
    return {name: str(kind) for name, kind in table.dtypes.items()}


def test_the_manifest_has_a_typed_row_a_video(features):
    table = pandas_tables.manifest(features)
    texts = dict.fromkeys(HEADER_TEXTS, "string")
    names = dict.fromkeys(("label", "split", "status"), "category")
    counts = dict.fromkeys(("size", "frames", "views"), "int64")
    numbers = dict.fromkeys(("fps", "duration_s"), "float64")
    times = {"mtime": "datetime64[ns, UTC]"}
    assert types_of(table) == texts | names | counts | numbers | times
    assert list(table.columns) == HEADER.split(",")
    assert list(table["path"]) == ["a/1.mp4", "a/2.mp4", "b/3.mp4"]
    assert list(table["views"]) == [2, 0, 0] and table["group"][2] == "r, 3"
    assert table["error"].isna().tolist() == [True, False, False]
    assert table["camera"][0] == "gate" and table["recorded_at"].isna().tolist()[1:] == [True, True]
    assert table["mtime"][1].value == 1795995361616035524 and table["mtime"].isna()[2]


def test_the_split_is_that_of_the_dataset_now(features):
    assert list(pandas_tables.manifest(features)["split"]) == ["train", "validation", "test"]
    (features.parent / "splits.csv").unlink()
    assert list(pandas_tables.manifest(features)["split"]) == ["train", "train", "test"]


def test_a_manifest_of_an_earlier_version_lacks_the_later_columns(features):
    rows = [line.rsplit(",", 3)[0] for line in (HEADER, *ROWS)]
    (features / "manifest.csv").write_text("\n".join(rows) + "\n")
    table = pandas_tables.manifest(features)
    assert list(table["views"]) == [0, 0, 0] and table["camera"].isna().all()


def test_predictions_are_joined_with_the_manifest(run):
    table = pandas_tables.predictions(run)
    assert types_of(table) == {
        **dict.fromkeys(("path", "group"), "string"),
        **dict.fromkeys(("label", "predicted", "status"), "category"),
        **dict.fromkeys(("size", "frames"), "Int64"),
        **dict.fromkeys(("probability", "fps", "duration_s"), "float64"),
        "correct": "bool",
    }
    assert list(table["label"].cat.categories) == ["normal", "fight"]
    assert list(table["correct"]) == [True, False, True]
    assert list(table["duration_s"])[:2] == [2.0, 3.0]
    assert table["frames"].isna().tolist() == [False, False, True]
    by_group = table.groupby("group", observed=True)["correct"].mean()
    assert by_group.to_dict() == {"r1": 1.0, "r2": 0.0, "r4": 1.0}


def test_predictions_without_their_features_have_missing_values(run, features):
    joined = pandas_tables.predictions(run)
    (features / "manifest.csv").rename(features / "moved.csv")
    table = pandas_tables.predictions(run)
    assert types_of(table) == types_of(joined)
    assert table[["size", "frames", "fps", "duration_s", "status"]].isna().all(axis=None)
    pd.testing.assert_series_equal(table["probability"], joined["probability"])
    with pytest.raises(CacheError, match=r"with manifest\.csv"):
        pandas_tables.predictions(run, features=features)


def test_the_history_is_indexed_by_epoch(run):
    table = pandas_tables.history(run)
    assert list(table.index) == [1, 2] and table.index.name == "epoch"
    assert set(types_of(table).values()) == {"float64"}
    assert table["loss"].tolist() == [0.5, 0.25] and np.isnan(table["val_auc"][1])
    with pytest.raises(RunError, match="no epoch is finished"):
        pandas_tables.history(run / "gone")


def test_errors_are_a_long_table(run):
    table = pandas_tables.errors(run)
    assert table[["by", "name"]].to_numpy().tolist() == [
        ["recording", "r1"],
        ["recording", "r2"],
        ["duration", "up to 1.5 s"],
    ]
    assert (table["ci_low"] == 0.1).all() and (table["ci_high"] == 0.9).all()
    assert table.groupby("by", observed=True)["errors"].sum().to_dict() == {
        "duration": 1,
        "recording": 2,
    }


def test_a_split_that_was_not_evaluated_is_one_line(run):
    for table in (pandas_tables.errors, pandas_tables.predictions):
        with pytest.raises(RunError, match="an evaluation of `all` \\(evaluate RUN --split all\\)"):
            table(run, "all")


def test_an_evaluation_without_errors_by_condition_gives_an_empty_table(run):
    path = run / "evaluation" / "test" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"errors_by": {}}))
    table = pandas_tables.errors(run)
    assert len(table) == 0 and str(table["videos"].dtype) == "int64"


def test_windows_have_a_row_each_and_an_unreadable_video_one():
    rows = [
        WindowRow("a.mp4", 0.0, 2.0, 0.25),
        WindowRow("a.mp4", 1.0, 3.0, 0.25),
        WindowRow("b.mp4", error="damaged"),
    ]
    table = pandas_tables.windows(rows, ["n", "v"])
    assert list(table.columns) == ["path", "start_s", "end_s", "probability", "error"]
    assert table["path"].tolist() == ["a.mp4", "a.mp4", "b.mp4"]
    assert table["error"].isna().tolist() == [True, True, False]
    assert table["start_s"].isna().tolist() == [False, False, True]
    assert len(pandas_tables.windows([], ["n", "v"])) == 0


def test_windows_of_several_classes_have_a_column_each():
    named = {"n": 0.5, "v": 0.25, "w": 0.25}
    rows = [WindowRow("a.mp4", 0.0, 2.0, 0.5, named), WindowRow("b.mp4", error="damaged")]
    table = pandas_tables.windows(rows, list(named))
    assert table["probability_w"].tolist()[0] == 0.25 and table["probability_w"].isna()[1]


@pytest.mark.slow
def test_the_package_offers_them_and_loads_pandas_late():
    assert violence_detection.tables is pandas_tables
    program = (
        "import sys, violence_detection as vd; assert 'pandas' not in sys.modules; vd.tables\n"
        "assert 'pandas' in sys.modules and not sys.modules.keys() & {'tensorflow', 'cv2'}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
