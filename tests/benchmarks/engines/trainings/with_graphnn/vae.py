"""A variational autoencoder of pictures."""

import graphnn as gn
from graphnn import nn


class VAE(nn.Layer):
    def __init__(self, pixels, units, latent):
        self.encoder = nn.Sequential(nn.Dense(units), nn.ReLU())
        self.mean = nn.Dense(latent)
        self.log_var = nn.Dense(latent)
        self.decoder = nn.Sequential(nn.Dense(units), nn.ReLU(), nn.Dense(pixels))

    def call(self, x, noise):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        return self.decoder(mean + gn.exp(0.5 * log_var) * noise), mean, log_var


def training(dtype, pixels=784, units=256, latent=16):
    g = gn.Graph("vae", dtype)
    x, noise = g.placeholder("x", ("batch", pixels)), g.placeholder("noise", ("batch", latent))
    model = VAE(pixels, units, latent)
    logits, mean, log_var = model(x, noise)
    far = 0.5 * gn.mean(gn.sum(gn.exp(log_var) + gn.square(mean) - 1 - log_var, 1))
    loss = gn.mean(gn.sum(nn.sigmoid_crossentropy(logits, x, reduction="none"), 1)) + far
    return model, gn.compile(loss, nn.Adam(1e-3).updates(loss))
