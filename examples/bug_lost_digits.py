"""A bug to find: in float32, a loss is slightly wrong, because some of its logarithms have almost no correct digit."""

import numpy as np

import graphnn as gn


def build(log_probabilities):
    g = gn.Graph("mistakes")
    logits = g.placeholder("logits", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    g.outputs["loss"] = loss = -gn.mean(gn.pick(log_probabilities(logits), labels))
    return loss


def by_hand(logits):
    return gn.log(gn.softmax(logits))


margins = np.linspace(99.0, 103.0, 50)  # how sure the network is of the wrong class
feed = {"logits": np.stack([np.zeros(50), margins], axis=1), "labels": np.zeros(50, int)}


def main():
    found = gn.compare(build(by_hand), feed=feed, dtypes=("float32", "float64"))
    print(found)
    assert not found.equal

    print("\nThe fix: a logarithm that never makes the small number.")
    found = gn.compare(build(gn.log_softmax), feed=feed, dtypes=("float32", "float64"))
    print(found)
    assert found.equal


if __name__ == "__main__":
    main()
