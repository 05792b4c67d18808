# needs: pages
"""A convolution, number by number: what one number is computed from, and what a kernel sees in a picture.

python examples/lesson_convolution.py
"""

import numpy as np

import graphnn as gn
from graphnn import nn


def build():
    g = gn.Graph("edges")
    image = g.placeholder("image", shape=("batch", 1, 8, 8))
    upright = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = np.stack([upright, upright.T])[:, None]  # (filters, channels, height, width)
    maps = nn.Conv2D(2, 3, weight=kernels)(image)
    g.outputs["maps"] = maps
    g.outputs["strength"] = gn.sum(gn.relu(maps))
    return dict(g.outputs)


picture = np.zeros((1, 1, 8, 8))
picture[0, 0, 1:7, 4] = [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
picture[0, 0, 1:7, 3] = [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]
feed = {"image": picture}


def main():
    fetches = build()
    maps, image = fetches["maps"], fetches["maps"].graph["image"]
    dbg = gn.debug(fetches, feed)
    dbg.resume()
    print(dbg.why(maps, (0, 0, 1, 2)), "\n")

    kernel, window = dbg["conv2d_1/weight"].value[0, 0], picture[0, 0, 1:4, 2:5]
    print("by hand:", " + ".join(f"{a:g}·({b:g})" for a, b in zip(window.flat, kernel.flat, strict=True) if a * b))
    print(f"  = {np.sum(window * kernel):g}; the node says {dbg[maps].value[0, 0, 1, 2]:g}\n")

    read = np.zeros(picture.size, int)
    read[dbg.ancestry(maps, (0, 0, 1, 2))[image]] = 1
    print(f"it reads these elements of the image:\n{read.reshape(8, 8)}\n")

    dbg["conv2d_1/weight"][0, 0, 1, 2] = 3.0
    moved = dbg[maps].value - dbg.trace("run")[maps].value
    print(f"the first map changes where the element that is read is not 0, and the second nowhere:\n{moved[0, 0]}\n")
    dbg.to_html("convolution.html")
    print("wrote convolution.html")

    from graphnn.view import plots

    try:
        plots.images({"window": window, "kernel": kernel, "products": window * kernel}, numbers=True).savefig(
            "window.png"
        )
        plots.images(gn.run(maps, feed)[0], title="What the two kernels see").savefig("maps.png")
    except gn.DrawingError as error:
        print(f"no pictures: {error}")
    else:
        print("wrote window.png and maps.png")


if __name__ == "__main__":
    main()
