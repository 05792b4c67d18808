"""A convolutional network of pictures."""

from torch import nn, optim
from torch.nn import functional


def training(channels=1, filters=16, classes=10):
    model = nn.Sequential(
        nn.Conv2d(channels, filters, 3, padding="same"),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, 3, padding="same"),
        nn.BatchNorm2d(2 * filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * filters, 2 * filters, 3, padding="same"),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * filters, classes),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)

    def step(x, labels):
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step
