"""A variational autoencoder of pictures."""

from torch import nn, optim
from torch.nn import functional


class VAE(nn.Module):
    def __init__(self, pixels, units, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, units), nn.ReLU())
        self.mean = nn.Linear(units, latent)
        self.log_var = nn.Linear(units, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, units), nn.ReLU(), nn.Linear(units, pixels))

    def forward(self, x, noise):
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        return self.decoder(mean + (0.5 * log_var).exp() * noise), mean, log_var


def training(pixels=784, units=256, latent=16):
    model = VAE(pixels, units, latent)
    optimizer = optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x, noise):
        logits, mean, log_var = model(x, noise)
        far = 0.5 * (log_var.exp() + mean.square() - 1 - log_var).sum(1).mean()
        loss = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean() + far
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step
