"""A network as data: query it with NetworkX, and read a changed graph back as a network."""

from collections import Counter

import networkx as nx
import numpy as np

import graphnn as gn
from graphnn import nn

g = gn.Graph("classifier")
x = g.placeholder("x", shape=("batch", 4))
labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
network = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dense(8), nn.Tanh(), nn.Dense(3), nn.Softmax())
loss = nn.categorical_crossentropy(network(x), labels)
gradients = gn.grad(loss, network.parameters)

dag = g.dag  # the graph itself, live and read-only; its nodes are the names
print(f"{dag.number_of_nodes()} nodes, {dag.number_of_edges()} edges, acyclic: {nx.is_directed_acyclic_graph(dag)}")
print("most frequent operations:", Counter(op for _, op in dag.nodes(data="op")).most_common(4))

# What does the loss depend on, and what depends on the first layer?
needed = nx.ancestors(dag, loss.name)
print("\nparameters the loss depends on:", sorted(n for n in needed if dag.nodes[n]["op"] == "parameter"))
touched = nx.descendants(dag, "dense_1/weight")
print(f"a change of dense_1/weight reaches {len(touched)} of {len(dag)} nodes")

# Which forward values does the backward pass read again? They must be kept until then.
kept = {u for u, v in dag.edges() if g[u].phase == "forward" and g[v].phase == "backward" and g[u].inputs}
print("forward values read by the backward pass:", sorted(kept))

# How deep is it, and how wide?
forward = gn.extract([loss]).dag
path = nx.dag_longest_path(forward)
print(f"\nlongest path, {len(path)} nodes: {' → '.join(path[:4])} → … → {path[-1]}")
waves = list(nx.topological_generations(forward))
print(f"{len(waves)} generations; the widest holds {max(map(len, waves))} nodes")
above = nx.immediate_dominators(forward, "x")
at, bottleneck = "softmax_1/divide", []
while (at := above[at]) != "x":
    bottleneck.append(at)
print("every way from x to the probabilities passes", ", ".join(reversed(bottleneck)))

# A copy is an ordinary graph. Change it, and read it back: each node is checked as if you had made it.
copy = gn.extract([loss]).dag.copy()
for name, op in list(copy.nodes(data="op")):
    if op == "relu":
        copy.nodes[name]["op"] = "softplus"
smooth = gn.Graph.from_networkx(copy)
feed = {"x": np.random.default_rng(0).normal(size=(5, 4)), "labels": [0, 1, 2, 0, 1]}
print(f"\nloss with relu {gn.run(loss.name, feed, graph=g):.6f}")
print(f"loss with softplus {gn.run(loss.name, feed, graph=smooth):.6f}")

# For other programs: a copy whose data are strings and numbers only.
nx.write_graphml(g.flat(), "classifier.graphml")
print("wrote classifier.graphml")
