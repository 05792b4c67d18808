"""A variational autoencoder: it maps images of digits to a plane, and makes new ones from any point of the plane.

This needs scikit-learn, for the images only. docs/lesson-vae.md explains it.

python examples/lesson_vae.py --epochs 200
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import graphnn as gn
from graphnn import nn

PIXELS = 64


class Sampling(nn.Layer):
    """A random point near the mean. The noise is an input of its own, so a gradient passes to mean and log_var."""

    def call(self, mean, log_var):
        graph = mean.graph
        counter = graph.parameter("counter", np.int64(0), trainable=False)
        noise = gn.random_normal(counter, mean.shape, name="noise")
        z = mean + gn.exp(0.5 * log_var) * noise
        graph.advances[counter, z] = counter + 1  # each training step has other noise
        graph.evaluation[z] = mean  # and evaluation has none
        return z


def build(latent=2):
    g = gn.Graph("vae")
    rng = np.random.default_rng(0)
    images = g.placeholder("images", ("batch", PIXELS))
    hidden = nn.Dense(96, "relu", rng=rng)(images)
    mean = gn.name(nn.Dense(latent, rng=rng)(hidden), "mean")
    log_var = gn.name(nn.Dense(latent, rng=rng)(hidden), "log_var")

    z = gn.name(Sampling()(mean, log_var), "z")
    decoder = nn.Sequential(nn.Dense(96, "relu", rng=rng), nn.Dense(PIXELS, rng=rng))
    logits = decoder(z)
    g.outputs["made"] = gn.sigmoid(logits, name="made")
    of_pixels = gn.multiply(PIXELS, nn.sigmoid_crossentropy(logits, images), name="of_pixels")
    kl = 0.5 * gn.sum(gn.square(mean) + gn.exp(log_var) - log_var - 1.0, axis=1)
    g.outputs["loss"] = of_pixels + gn.mean(kl, name="of_latent")
    return g


def train(g, images, epochs):
    loss = g.outputs["loss"]
    step = gn.compile(loss, updates=nn.Adam(0.003).updates(loss))
    return nn.fit(step, {"images": images}, epochs=epochs, batch_size=64, rng=np.random.default_rng(0))


def decode(g):
    """Return the images that are made of a placeholder "code": the point is given, so nothing before it is left."""
    code = g["code"] if "code" in g else g.placeholder("code", g["z"].shape)
    return gn.replace(g.outputs["made"], {g["z"]: code})


def grid(size=9, reach=2.0):
    """Return points of the plane, row after row."""
    ticks = np.linspace(-reach, reach, size)
    return np.stack(np.meshgrid(ticks, ticks[::-1]), axis=-1).reshape(-1, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5, help="default %(default)s; 200 for digits one can read")
    epochs = parser.parse_args().epochs
    images, _ = load_digits(return_X_y=True)
    g = build()
    print(train(g, images / 16, epochs))

    made = gn.run(decode(g), {"code": grid(5)}).reshape(5, 5, 8, 8)
    for row in made:
        for line in row.transpose(1, 0, 2):
            print("  ".join("".join(" .:-=+*#%@"[int(pixel * 9.99)] for pixel in image) for image in line))


if __name__ == "__main__":
    main()
