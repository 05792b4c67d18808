"""A network of very many residual blocks."""

from torch import nn, optim
from torch.nn import functional


class Residual(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(units), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, units))

    def forward(self, x):
        return x + self.inner(x)


def training(units=32, blocks=200, classes=10):
    model = nn.Sequential(*[Residual(units) for _ in range(blocks)], nn.LayerNorm(units), nn.Linear(units, classes))
    optimizer = optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(x, labels):
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step
