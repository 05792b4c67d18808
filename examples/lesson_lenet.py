"""A small LeNet reads handwritten digits: scikit-learn's 1,797 bundled images of 8 × 8 pixels.

python examples/lesson_lenet.py --epochs 40

This needs scikit-learn, for the images only.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import graphnn as gn
from graphnn import nn


def build(seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    g = gn.Graph("lenet", dtype=dtype)
    x = g.placeholder("x", shape=("batch", 1, 8, 8))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(
        nn.Conv2D(16, 3, padding="same", weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(32, 3, padding="same", weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(64, weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Dense(10, rng=rng),
    )
    g.outputs["probabilities"] = probabilities = gn.softmax(network(x))
    g.outputs["loss"] = loss = nn.softmax_crossentropy(network(x, training=True), labels)
    step = gn.compile(loss, updates=nn.Adam(0.002).updates(loss))
    return step, probabilities, nn.accuracy(probabilities, labels)


def data():
    images, digits = load_digits(return_X_y=True)
    return (images / 16).reshape(-1, 1, 8, 8), digits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1, help="default %(default)s; 40 for 98 %% and more")
    epochs = parser.parse_args().epochs
    images, digits = data()
    order = np.random.default_rng(0).permutation(len(images))
    seen, unseen = order[:1437], order[1437:]
    step, probabilities, accuracy = build()
    print(gn.summary(probabilities), "\n")
    feed = {"x": images[seen], "labels": digits[seen]}
    test = {"x": images[unseen], "labels": digits[unseen]}
    rng = np.random.default_rng(0)
    metrics = {"accuracy": accuracy}
    print(nn.fit(step, feed, epochs=epochs, batch_size=32, rng=rng, validation=test, metrics=metrics))
    print(f"\naccuracy on unseen images: {gn.run(accuracy, test):.1%}")

    from graphnn.view import plots

    g = probabilities.graph
    trace = gn.trace(probabilities, {"x": images[unseen[:1]]})
    maps = trace.select(op="relu")
    try:
        plots.images(g["conv2d_1/weight"].value[:8], title="Eight filters").savefig("filters.png")
        plots.images(maps[0].value[:, :8], title="Their maps of an image").savefig("maps.png")
    except gn.DrawingError as error:
        print(f"no pictures: {error}")
    else:
        print("wrote filters.png and maps.png")


if __name__ == "__main__":
    main()
