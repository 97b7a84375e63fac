"""Trains the emulator's demo digit classifier and writes weights.json and held-out.json next to this file.

Run:    pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1     (Python 3.11)
        python train.py

Data:   UCI "Optical Recognition of Handwritten Digits" (the 1,797 images sklearn ships), 8x8, pixels 0..16.
Model:  64 inputs (pixel / 16) -> 32 ReLU -> 10 softmax.
Split:  200 images (20 per digit) are held out. Hyper-parameters are chosen on a validation part of the other
        1,597; the final model is then fitted to all 1,597 and only after that meets the held-out images, once.
Output: the same versions on the same kind of processor give byte-identical files.
"""

import os

# The order in which a multi-threaded BLAS adds up is not fixed, so results would differ in the last digits.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
SPLIT_SEED = 20240
MODEL_SEED = 7
HELD_OUT_PER_DIGIT = 20
VALIDATION_PER_DIGIT = 30
DIGITS = np.arange(10)

# Training stops at a fixed number of epochs on purpose.
warnings.filterwarnings("ignore", category=ConvergenceWarning)


def take_per_digit(labels, candidates, per_digit, rng):
    """Splits candidates (indices) into (exactly per_digit of each digit, shuffled; the rest, in order)."""
    taken = np.concatenate([rng.permutation(candidates[labels[candidates] == d])[:per_digit] for d in DIGITS])
    return rng.permutation(taken), np.setdiff1d(candidates, taken)


def fit(x, y, alpha, rate, epochs):
    return MLPClassifier(
        hidden_layer_sizes=(32,),
        activation="relu",
        solver="adam",
        alpha=alpha,
        learning_rate_init=rate,
        batch_size=32,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs,
        random_state=MODEL_SEED,
    ).fit(x, y)


def shorten(values):
    """Six significant digits; what is below 1e-6 (weights of pixels that are always blank) becomes 0."""
    return [0 if abs(v) < 1e-6 else float(f"{v:.6g}") for v in np.ravel(values).tolist()]


def forward(layers, x):
    """Logits, computed in float32 from the numbers as they stand in weights.json."""
    for i, layer in enumerate(layers):
        weights = np.array(layer["weights"], dtype=np.float32).reshape(layer["inputs"], layer["outputs"])
        x = x @ weights + np.array(layer["bias"], dtype=np.float32)
        if i + 1 < len(layers):
            x = np.maximum(x, np.float32(0))
    assert x.dtype == np.float32
    return x


def main():
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(SPLIT_SEED)
    held_out, train = take_per_digit(labels, np.arange(len(labels)), HELD_OUT_PER_DIGIT, rng)
    validation, fitting = take_per_digit(labels, train, VALIDATION_PER_DIGIT, rng)
    assert not set(held_out) & set(train) and len(held_out) + len(train) == len(labels) == 1797
    x = images / 16.0

    best = None
    for alpha, rate, epochs in itertools.product((1e-3, 1e-1, 1.0), (1e-3, 3e-3), (40, 100)):
        model = fit(x[fitting], labels[fitting], alpha, rate, epochs)
        loss = log_loss(labels[validation], model.predict_proba(x[validation]))
        accuracy = model.score(x[validation], labels[validation])
        print(f"alpha {alpha:g}, rate {rate:g}, epochs {epochs}: validation loss {loss:.4f}, accuracy {accuracy:.4f}")
        if best is None or loss < best[0]:
            best = (loss, (alpha, rate, epochs))
    print("chosen (alpha, rate, epochs):", best[1])

    model = fit(x[train], labels[train], *best[1])
    layers = [
        {"inputs": w.shape[0], "outputs": w.shape[1], "weights": shorten(w), "bias": shorten(b)}
        for w, b in zip(model.coefs_, model.intercepts_)
    ]

    logits = forward(layers, images[held_out].astype(np.float32) / np.float32(16))
    correct = int((logits.argmax(axis=1) == labels[held_out]).sum())
    # Another order of summation may move a logit by about 1e-5: no image may be that close to a tie.
    top = np.sort(logits, axis=1)
    margin = float((top[:, -1] - top[:, -2]).min())
    assert margin > 1e-3, margin
    print(f"held out: {correct} of {len(held_out)} right, smallest margin between two logits {margin:.4f}")

    source = (
        "UCI Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998; CC BY 4.0; "
        "doi:10.24432/C50P49), as in sklearn.datasets.load_digits; trained by train.py"
    )
    head = {"source": source, "trainedOn": len(train), "heldOutAccuracy": correct / len(held_out)}
    dump = lambda value: json.dumps(value, separators=(",", ":"))
    weights_text = dump(head)[:-1] + ',"layers":[\n' + ",\n".join(map(dump, layers)) + "\n]}\n"
    lines = [dump(row) for row in images[held_out].astype(int).tolist()]
    held_out_text = '{"images":[\n' + ",\n".join(lines) + '\n],"labels":' + dump(labels[held_out].tolist()) + "}\n"
    for name, text in (("weights.json", weights_text), ("held-out.json", held_out_text)):
        json.loads(text)
        (HERE / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
