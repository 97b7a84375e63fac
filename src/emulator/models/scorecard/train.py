"""Trains the emulator's demo scorecard and writes coefficients.json next to this file.

Run:    pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1     (Python 3.11)
        python train.py

Data:   UCI "Breast Cancer Wisconsin (Diagnostic)", 569 rows, as sklearn ships it.
Model:  standardised features -> logistic regression for P(benign).
Points: score = offset + factor * ln(odds of benign), rounded to whole points. 600 points stand for odds of 50:1
        and every 20 points double the odds (PDO), so factor = 20 / ln 2 and offset = 600 - factor * ln 50.
Output: the same versions on the same kind of processor give byte-identical files.

A demonstration of serving a tabular model. It is no medical device.
"""

import os

# The order in which a multi-threaded BLAS adds up is not fixed, so results would differ in the last digits.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import json
import math
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
SPLIT_SEED = 20240
PDO, BASE_SCORE, BASE_ODDS = 20, 600, 50

# The ten means of the data set without perimeter and area, which repeat the radius.
FEATURES = [
    "mean radius",
    "mean texture",
    "mean smoothness",
    "mean compactness",
    "mean concavity",
    "mean concave points",
    "mean symmetry",
    "mean fractal dimension",
]


def shorten(value):
    return float(f"{value:.6g}")


def main():
    data = load_breast_cancer()
    assert list(data.target_names) == ["malignant", "benign"]
    columns = [list(data.feature_names).index(name) for name in FEATURES]
    x, y = data.data[:, columns], data.target
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=SPLIT_SEED)

    scaler = StandardScaler().fit(x_train)
    model = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(scaler.transform(x_train), y_train)
    features = [
        {"name": name.replace(" ", "_"), "mean": shorten(m), "scale": shorten(s), "coefficient": shorten(c)}
        for name, m, s, c in zip(FEATURES, scaler.mean_, scaler.scale_, model.coef_[0])
    ]
    intercept = shorten(model.intercept_[0])
    factor = PDO / math.log(2)
    offset = BASE_SCORE - factor * math.log(BASE_ODDS)

    # From here on only the rounded numbers count, the ones the emulator has.
    def log_odds(row):
        total = intercept
        for value, feature in zip(row, features):
            total += feature["coefficient"] * ((value - feature["mean"]) / feature["scale"])
        return total

    test_log_odds = np.array([log_odds(row) for row in x_test.tolist()])
    accuracy = float(((test_log_odds >= 0) == y_test).mean())
    auc = float(roc_auc_score(y_test, test_log_odds))
    print(f"held out: {len(y_test)} rows, accuracy {accuracy:.4f}, AUC {auc:.4f}")

    # Five held-out rows from the low end of the score to the high end.
    order = np.argsort(test_log_odds, kind="stable")
    samples = []
    for share in (0.1, 0.3, 0.4, 0.6, 0.9):
        row = x_test[order[int(share * len(order))]].tolist()
        z = log_odds(row)
        points = offset + factor * z
        assert abs(points - math.floor(points) - 0.5) > 1e-6, "a sample on the edge between two whole scores"
        expected = {
            "probability": 1 / (1 + math.exp(-z)),
            "score": round(points),
            "label": "benign" if z >= 0 else "malignant",
        }
        samples.append({"features": {f["name"]: v for f, v in zip(features, row)}, "expected": expected})
        print(expected)

    source = (
        "UCI Breast Cancer Wisconsin (Diagnostic) (W. Wolberg, O. Mangasarian, N. Street, W. Street, 1993; CC BY 4.0; "
        "doi:10.24432/C5DW2B), as in sklearn.datasets.load_breast_cancer; trained by train.py"
    )
    result = {
        "source": source,
        "features": features,
        "intercept": intercept,
        "points": {"factor": factor, "offset": offset},
        "heldOutAccuracy": accuracy,
        "heldOutAuc": auc,
        "samples": samples,
    }
    text = json.dumps(result, indent=2) + "\n"
    (HERE / "coefficients.json").write_text(text, encoding="utf-8", newline="\n")
    print(f"coefficients.json: {len(text)} bytes")


if __name__ == "__main__":
    main()
