"""The evaluation of a run that answers several questions."""

import pytest
from support.evaluation import read_predictions
from support.features import draw_features
from support.training import train_quickly


@pytest.mark.slow
def test_predictions_metrics_report_and_card_have_every_output(tmp_path, evaluate):
    features = draw_features(tmp_path / "space", counts=(16, 8, 8))
    outputs = "classes(units=8)+svdd(units=8, size=4)+vae(units=8, size=3)+violence"
    train_quickly(features, tmp_path, outputs=outputs)
    run = tmp_path / "run"
    result = evaluate(run)
    rows = read_predictions(run)
    assert list(rows[0])[6:] == [
        "class",
        "confidence",
        "anomaly_score",
        "anomaly_svdd",
        "anomaly_vae",
    ]
    for row in rows:
        parts = [float(row["anomaly_svdd"]), float(row["anomaly_vae"])]
        assert float(row["anomaly_score"]) == pytest.approx(sum(parts) / 2)
        assert float(row["confidence"]) >= 0.5 and row["class"] in ("normal", "violent")
    assert result["output_auc"].keys() == {"classes", "svdd", "vae", "anomaly_score"}
    assert 'id="outputs"' in (run / "evaluation" / "test" / "report.html").read_text()
    assert "svdd" in (run / "MODEL_CARD.md").read_text()
