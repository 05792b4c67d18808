"""Read handwritten digits: scikit-learn's 1,797 bundled images of 8 × 8 pixels, with 96 % or more of unseen ones right.

This needs scikit-learn, for the images only.
"""

import numpy as np
from sklearn.datasets import load_digits

import graphnn as gn
from graphnn import nn

images, digits = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
order = rng.permutation(len(images))
images, digits = images[order] / 16, digits[order]
train, test = slice(None, 1400), slice(1400, None)

g = gn.Graph("digits", dtype=np.float32)
x = g.placeholder("x", shape=("batch", 64))
labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
network = nn.Sequential(nn.Dense(64, weight_init=nn.init.he_normal(), rng=rng), nn.ReLU(), nn.Dense(10, rng=rng))
logits = network(x)
loss = nn.softmax_crossentropy(logits, labels)
g.outputs["probabilities"] = probabilities = gn.softmax(logits)
accuracy = nn.accuracy(probabilities, labels)

step = gn.compile(loss, updates=nn.Adam(0.005).updates(loss))
seen = {x: images[train], labels: digits[train]}
unseen = {x: images[test], labels: digits[test]}
print(gn.summary(probabilities), "\n")
print(nn.fit(step, seen, epochs=20, batch_size=64, rng=rng, validation=unseen, metrics={"accuracy": accuracy}))
print(f"\naccuracy on unseen images: {gn.run(accuracy, unseen):.1%}")

# Which images is the network unsure of?
p = gn.run(probabilities, unseen)
worst = int(np.argmin(p[np.arange(len(p)), digits[test]]))
print(f"\nits worst: a {digits[test][worst]}, which it takes for a {p[worst].argmax()} ({p[worst].max():.0%})")
for row in images[test][worst].reshape(8, 8):
    print("  " + "".join(" .:-=+*#%@"[int(pixel * 9)] * 2 for pixel in row))
