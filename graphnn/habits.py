"""What other libraries call otherwise: the names that their users type first, and what to write here.

The errors of unknown names and arguments look here before they look for what is spelt alike. So a habit is one line of
a table, and no case of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn, TypeVar

from .errors import UsageError, near

T = TypeVar("T")
ALIASES: Mapping[str, str] = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "concat": "concatenate",
    "mod": "remainder",
    "pow": "power",
    "unstack": "unbind",
}
"""Other names that NumPy has for operations; they work."""

_RUN = "Write gn.run(node, feed) for its value; that of a parameter is node.value."
_GRAD = (
    "Write gn.grad(loss, parameters), which returns the gradients as nodes; an optimizer makes them by itself, in "
    "optimizer.updates(loss)."
)
_STEP = "Write step = gn.compile(loss, optimizer.updates(loss)); each call of it, step(feed), is a step."
_FIT = "Write nn.fit(step, feed, epochs=…), where step = gn.compile(loss, optimizer.updates(loss))."
_ZERO = "Gradients are nodes and do not add up from step to step: there is nothing to set to zero, leave it out."
_DEVICE = "All is computed by NumPy, on the CPU: leave it out."
_CAST = "Write gn.cast(node, dtype)."
_CONSTANT = "Write graph.constant(array)."
_PARAMETER = "Write graph.parameter(name, value)."
_PLACEHOLDER = 'Write graph.placeholder(name, shape); a size that may vary is a name, as in ("batch", 4).'
_MATMUL = "Write gn.matmul(x, y), or x @ y."
_CONVOLUTION = "Write nn.Conv2D(filters, kernel_size), or gn.conv(x, kernel)."
_POOLING = "Write nn.MaxPool2D(size) or nn.AveragePool2D(size), or gn.max_pool(x, size)."
_RANDOM = (
    "Write gn.random_uniform(counter, shape) in the graph, or graph.constant(rng.normal(size=…)) for fixed numbers."
)
_SEED = (
    "Layers take a generator, rng=np.random.default_rng(0), and dropout a seed=0; without it, they are fixed anyway."
)
_MODES = "Write layer(x, training=True) for training, and layer(x) for evaluation: two forms, of the same parameters."
_PARAMETERS = "Write layer.parameters, the list of its nodes; node.value is the value of one."
_SAVE = "Write gn.save(graph, path): the parameters are kept in the graph. gn.load(path) reads it."
_SUBMODULE = "Layers, losses, metrics and optimizers stand in nn themselves, as nn.Dense, nn.accuracy and nn.Adam."

ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "node": {
        **dict.fromkeys(("numpy", "item", "tolist", "eval", "data", "asnumpy", "get_value"), _RUN),
        **dict.fromkeys(("backward", "grad", "grad_fn", "gradient", "retain_grad"), _GRAD),
        **dict.fromkeys(("zero_grad", "zero_"), _ZERO),
        **dict.fromkeys(("cpu", "cuda", "device", "to"), f"{_DEVICE} A dtype is changed by gn.cast(node, dtype)."),
        **dict.fromkeys(("astype", "bool", "double", "float", "half", "int", "long", "type"), _CAST),
        **dict.fromkeys(("bmm", "dot", "mm"), _MATMUL),
        **dict.fromkeys(("clone", "copy"), "A node never changes: use it as it is."),
        **dict.fromkeys(
            ("assign", "copy_", "fill_", "set_value"), "Write node.value = array, which sets that of a parameter."
        ),
        **dict.fromkeys(
            ("requires_grad", "requires_grad_"),
            "A parameter is trained unless it is made with graph.parameter(name, value, trainable=False); "
            "gn.stop_gradient(node) lets no gradient through.",
        ),
        **dict.fromkeys(("dim", "rank"), "Write node.ndim."),
        **dict.fromkeys(("flatten", "ravel", "view"), "Write gn.reshape(node, shape); a -1 in it is worked out."),
        **dict.fromkeys(("clamp", "clip"), "Write gn.clip(node, lo, hi)."),
        "detach": "Write gn.stop_gradient(node).",
        **dict.fromkeys(("expand", "expand_as", "broadcast_to"), "Write gn.broadcast_to(node, shape)."),
        "get_shape": "Write node.shape.",
        "permute": "Write gn.transpose(node, axes).",
        "register_hook": "Write gn.trace(gn.grad(loss, parameters), feed), which records the gradients, too.",
        "size": "Write node.shape; a size may be a name before a run, and gn.run(node, feed).size is the number then.",
        "t": "Write node.T.",
        "unsqueeze": "Write gn.expand_dims(node, axis).",
    },
    "gn": {
        **dict.fromkeys(
            ("array", "as_tensor", "asarray", "convert_to_tensor", "from_numpy", "tensor", "Tensor"), _CONSTANT
        ),
        **dict.fromkeys(("Parameter", "Variable", "variable", "get_variable"), _PARAMETER),
        **dict.fromkeys(("Input", "input"), _PLACEHOLDER),
        **dict.fromkeys(("full", "linspace", "ones"), _CONSTANT.replace("array", "np.ones(…)")),
        **dict.fromkeys(("normal", "rand", "randint", "randn", "random", "uniform"), _RANDOM),
        **dict.fromkeys(("manual_seed", "seed", "set_seed"), _SEED),
        **dict.fromkeys(("bmm", "dot", "mm"), _MATMUL),
        **dict.fromkeys(("GradientTape", "backward", "gradient", "gradients", "value_and_grad"), _GRAD),
        **dict.fromkeys(("jacfwd", "jacrev"), 'Write gn.jacobian(y, x), with mode="forward" or mode="reverse".'),
        **dict.fromkeys(("hessian_vector_product", "vhp"), "Write gn.hvp(loss, w, v)."),
        **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolve", "conv_transpose2d"), _CONVOLUTION),
        **dict.fromkeys(("avg_pool2d", "max_pool2d", "maxpool"), _POOLING),
        "scaled_dot_product_attention": "Write nn.MultiHeadAttention(heads)(x).",
        **dict.fromkeys(("batch_norm", "layer_norm"), "Write nn.BatchNorm()(x) or nn.LayerNorm()(x)."),
        **dict.fromkeys(("keras", "layers", "losses", "metrics", "optim", "optimizers"), _SUBMODULE),
        **dict.fromkeys(("function", "jit"), "Write gn.compile(fetches), a function of a feed."),
        **dict.fromkeys(("flatten", "ravel", "view_as"), "Write gn.reshape(x, shape); a -1 in it is worked out."),
        **dict.fromkeys(
            ("e", "inf", "nan", "newaxis", "pi"), "NumPy's constants serve as they are: np.pi, np.newaxis."
        ),
        **dict.fromkeys(
            ("bool", "double", "dtype", "float", "float16", "float32", "float64", "int32", "int64", "long"),
            'NumPy\'s dtypes serve as they are, and so do their names: np.float32, "float32".',
        ),
        "Module": "Write nn.Layer.",
        "Session": "Write gn.run(fetches, feed).",
        "cat": "Write gn.concatenate([x, y], axis).",
        "clamp": "Write gn.clip(x, lo, hi).",
        "cross_entropy": "Write nn.softmax_crossentropy(logits, labels).",
        "detach": "Write gn.stop_gradient(x).",
        "dropout": "Write nn.Dropout(rate), and call it with training=True.",
        "embedding": "Write nn.Embedding(count, units)(x), or gn.take(table, indices, axis=0).",
        "functional": "Write gn.relu(x) and the like: functions of nodes stand in gn themselves.",
        "hstack": "Write gn.concatenate([x, y], axis=1), and axis=0 for vectors.",
        "vstack": "Write gn.concatenate([x, y], axis=0), and gn.stack([x, y]) for vectors.",
        "gather": "Write gn.take_along_axis(x, indices, axis), or gn.take(x, indices, axis).",
        "linear": "Write nn.Dense(units), or x @ w + b.",
        "mse_loss": "Write nn.mean_squared_error(predicted, true).",
        "no_grad": "A gradient is made only where it is asked for; gn.stop_gradient(x) lets none through.",
        "permute": "Write gn.transpose(x, axes).",
        **dict.fromkeys(
            ("scatter", "scatter_"),
            "Write gn.put_along_axis(x, indices, values, axis), or gn.scatter_nd(values, indices, shape), which adds "
            "to zeros.",
        ),
        **dict.fromkeys(
            ("bincount", "scatter_add", "scatter_reduce", "segment_sum", "unsorted_segment_sum"),
            "Write gn.index_add(x, indices, shape, axis), which adds parts of x to zeros of this shape.",
        ),
        **dict.fromkeys(
            ("dynamic_update_slice", "slice_scatter", "slice_update"), "Write gn.update_slice(x, update, start, axis)."
        ),
        **dict.fromkeys(("fori_loop", "foldl"), "Write gn.scan(step, init, xs), or gn.scan(step, init, length=n)."),
        "unsqueeze": "Write gn.expand_dims(x, axis).",
    },
    "nn": {
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNormalization"), "Write nn.BatchNorm()."),
        **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d"), "Write nn.InstanceNorm()."),
        **dict.fromkeys(("GroupNormalization", "LayerNormalization", "RMSNormalization"), "Leave off the -alization."),
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "Convolution2D", "DepthwiseConv2D"), _CONVOLUTION),
        **dict.fromkeys(("ConvTranspose2d", "Conv2DTranspose"), "Write nn.ConvTranspose2D(filters, kernel_size)."),
        **dict.fromkeys(("AvgPool2d", "AveragePooling2D", "MaxPool1d", "MaxPool2d", "MaxPooling2D"), _POOLING),
        **dict.fromkeys(("GlobalAveragePooling2D", "AdaptiveAvgPool2d"), "Write nn.GlobalAveragePool2D()."),
        **dict.fromkeys(("Upsample", "UpSampling2D"), "Write nn.UpSample(size)."),
        "Bidirectional": "Write nn.LSTM(units, bidirectional=True).",
        "SimpleRNN": "Write nn.RNN(units).",
        **dict.fromkeys(("MultiheadAttention", "Attention"), "Write nn.MultiHeadAttention(heads)."),
        **dict.fromkeys(("Transformer", "TransformerEncoderLayer"), "Write nn.TransformerBlock(heads, hidden)."),
        **dict.fromkeys(("Model", "Module"), "Write nn.Layer for a layer of one's own, or nn.Sequential."),
        "optim": _SUBMODULE,
        **dict.fromkeys(("GELU", "SiLU", "Swish"), "Write gn.gelu or gn.silu: functions of a node serve as layers."),
        **dict.fromkeys(
            ("MSE", "MSELoss", "MeanSquaredError", "mse", "mse_loss"), "Write nn.mean_squared_error(predicted, true)."
        ),
        **dict.fromkeys(("L1Loss", "MAE", "mae"), "Write nn.mean_absolute_error(predicted, true)."),
        **dict.fromkeys(
            ("CrossEntropyLoss", "SparseCategoricalCrossentropy", "cross_entropy"),
            "Write nn.softmax_crossentropy(logits, labels).",
        ),
        **dict.fromkeys(("CategoricalCrossentropy",), "Write nn.categorical_crossentropy(probabilities, labels)."),
        **dict.fromkeys(("NLLLoss", "nll", "nll_loss"), "Write nn.negative_log_likelihood(log_probabilities, labels)."),
        **dict.fromkeys(("HuberLoss", "Huber", "huber_loss"), "Write nn.huber(predicted, true)."),
        **dict.fromkeys(("SmoothL1Loss", "smooth_l1_loss"), "Write nn.smooth_l1(predicted, true)."),
        **dict.fromkeys(("KLDivLoss", "KLDivergence", "kl_div"), "Write nn.kl_divergence(log_probabilities, target)."),
        **dict.fromkeys(("TripletMarginLoss", "triplet_loss"), "Write nn.triplet_margin(anchor, positive, negative)."),
        **dict.fromkeys(("PoissonNLLLoss", "Poisson"), "Write nn.poisson_nll(predicted, true)."),
        "CosineEmbeddingLoss": "Write nn.cosine_embedding(first, second, alike).",
        "MarginRankingLoss": "Write nn.margin_ranking(first, second, order).",
        **dict.fromkeys(("AUC", "auc", "roc_auc_score"), "Write nn.roc_auc(scores, labels)."),
        **dict.fromkeys(("TopKCategoricalAccuracy", "top_k"), "Write nn.top_k_accuracy(scores, labels, k)."),
        **dict.fromkeys(("R2Score", "r2_score"), "Write nn.r2(predicted, true)."),
        **dict.fromkeys(("RMSE", "rmse", "RootMeanSquaredError"), "Write nn.root_mean_squared_error(predicted, true)."),
        "Hinge": "Write nn.hinge(predicted, labels).",
        **dict.fromkeys(("BCELoss", "BinaryCrossentropy"), "Write nn.binary_crossentropy(probabilities, labels)."),
        **dict.fromkeys(("AveragedModel", "ExponentialMovingAverage", "SWA"), "Write nn.EMA(decay).updates(updates)."),
        **dict.fromkeys(
            ("GradScaler", "LossScaleOptimizer"), "Write optimizer.updates(loss, loss_scale=nn.LossScale())."
        ),
        "StepLR": "Write nn.schedules.step_decay(learning_rate, every).",
        "ExponentialDecay": "Write nn.schedules.exponential, or step_decay for a staircase.",
        **dict.fromkeys(("CosineAnnealingLR", "CosineDecay"), "Write nn.schedules.cosine(learning_rate, steps)."),
        **dict.fromkeys(
            ("LinearLR", "OneCycleLR", "ExponentialLR", "MultiStepLR", "PolynomialLR", "lr_scheduler"),
            "Write nn.schedules.linear, one_cycle, exponential, multi_step or polynomial.",
        ),
        "Activation": 'Write nn.ReLU() and the like, or nn.Dense(units, activation="relu").',
        "BCEWithLogitsLoss": "Write nn.sigmoid_crossentropy(logits, labels).",
        "DataLoader": "Write nn.fit(step, feed, batch_size=32), which cuts a feed into batches and shuffles it. It "
        "takes a loader of PyTorch, too.",
        "Identity": "Leave it out.",
        "Input": _PLACEHOLDER,
        "Linear": "Write nn.Dense(units).",
        "ModuleList": "Write a list: layers in an attribute that is a list count among a layer's own.",
        "Parameter": _PARAMETER,
        "functional": "Write gn.relu(x) and the like: functions of nodes stand in gn themselves.",
        "l1": "Write gn.sum(gn.abs(w)), to be added to the loss.",
    },
    "layer": {
        **dict.fromkeys(("fit", "fit_generator", "train_on_batch"), _FIT),
        **dict.fromkeys(("eval", "train"), _MODES),
        **dict.fromkeys(
            (
                *("named_parameters", "trainable_parameters", "trainable_variables"),
                *("trainable_weights", "variables", "weights"),
            ),
            _PARAMETERS,
        ),
        **dict.fromkeys(
            ("load_state_dict", "load_weights", "set_weights"),
            'Write layer.load(state), with layout="torch" for that of PyTorch; gn.load(path) reads a whole graph.',
        ),
        **dict.fromkeys(("get_weights", "state_dict"), "Write layer.state(), a dict of arrays by name."),
        **dict.fromkeys(("save", "save_weights"), _SAVE),
        **dict.fromkeys(("cpu", "cuda", "double", "float", "half", "to"), f"{_DEVICE} Graph(dtype=…) says the dtype."),
        **dict.fromkeys(("predict", "predict_on_batch"), "Write gn.run(layer(x), feed)."),
        "backward": _GRAD,
        "build": "Call it on a node: layer(x) makes the parameters.",
        "count_params": "Write nn.summary(layer).parameters.",
        "compile": "Write gn.compile(loss, optimizer.updates(loss)), where loss is made of layer(x).",
        "evaluate": "Write nn.evaluate(fetches, feed).",
        "forward": "Write layer(x); a class of one's own defines call(self, x).",
        "get_config": "Write gn.save(graph, path): what is kept is the graph that the layer makes.",
        **dict.fromkeys(
            ("init_weights", "reset_parameters", "reset_weights"),
            "Write layer.reinitialize(np.random.default_rng(seed)).",
        ),
        "kernel": "Write layer.weight.",
        "summary": "Write nn.summary(layer).",
        "zero_grad": _ZERO,
    },
    "optimizer": {
        **dict.fromkeys(("apply_gradients", "minimize", "step"), _STEP),
        **dict.fromkeys(("state_dict", "load_state_dict"), f"What it keeps are parameters of the graph. {_SAVE}"),
        "lr": "Write optimizer.learning_rate.",
        "param_groups": "Write optimizer.updates(loss, groups=[…]); optimizer.learning_rate can be set between steps.",
        "zero_grad": _ZERO,
    },
    "graph": {
        **dict.fromkeys(("Variable", "get_variable", "variable", "add_parameter"), _PARAMETER),
        **dict.fromkeys(("Input", "input", "add_input"), _PLACEHOLDER),
        **dict.fromkeys(("forward", "evaluate", "eval"), "Write gn.run(fetches, feed)."),
        **dict.fromkeys(("backward", "grad", "gradients"), _GRAD),
        **dict.fromkeys(
            ("add_node", "add_edge"), "Call an operation on nodes, as gn.exp(x) or x + y: that makes a node."
        ),
        **dict.fromkeys(("fit", "train"), _FIT),
        "compile": "Write gn.compile(fetches).",
        "copy": "Write gn.extract(fetches), a new graph of what they need.",
        "draw": "Write gn.draw(graph).",
        "edges": "Write graph.dag.edges.",
        "load": "Write gn.load(path).",
        "nodes": "Write list(graph), or graph.dag.nodes for their names.",
        "run": "Write gn.run(fetches, feed).",
        "save": _SAVE,
        "summary": "Write gn.summary(graph).",
        "weights": "Write graph.parameters.",
    },
    "init": {
        **dict.fromkeys(("xavier_uniform", "xavier_uniform_", "GlorotUniform"), "Write nn.init.glorot_uniform."),
        **dict.fromkeys(("xavier_normal", "xavier_normal_", "GlorotNormal"), "Write nn.init.glorot_normal."),
        **dict.fromkeys(("kaiming_uniform", "kaiming_uniform_", "HeUniform"), "Write nn.init.he_uniform."),
        **dict.fromkeys(("kaiming_normal", "kaiming_normal_", "HeNormal"), "Write nn.init.he_normal."),
        **dict.fromkeys(("uniform_", "RandomUniform"), "Write nn.init.uniform(low, high)."),
        **dict.fromkeys(("normal_", "RandomNormal"), "Write nn.init.normal(mean, std)."),
        **dict.fromkeys(("zeros_", "Zeros"), "Write nn.init.zeros."),
        **dict.fromkeys(("ones_", "Ones"), "Write nn.init.ones."),
        **dict.fromkeys(("constant_", "Constant"), "Write nn.init.constant(value)."),
    },
    "history": {
        "history": 'It is itself the dict of lists: history["loss"].',
        **dict.fromkeys(("acc", "accuracy", "loss", "val_loss"), 'Write history["loss"] and the like.'),
        **dict.fromkeys(("epoch", "params"), "Write history.epochs, the number of them."),
    },
    "diagram": {
        **dict.fromkeys(
            ("display", "plot", "show", "view", "write"),
            "Write diagram.save(path); in a notebook it shows itself, and diagram.text() is for a terminal.",
        ),
    },
    "compiled": {
        **dict.fromkeys(("fit", "train"), "Write nn.fit(step, feed, epochs=…)."),
        **dict.fromkeys(("run", "forward", "train_step"), "Call it: step(feed)."),
        **dict.fromkeys(
            ("backward", "zero_grad"), "Call it: step(feed) makes the gradients and the updates, if it has any."
        ),
        "evaluate": "Write nn.evaluate(fetches, feed).",
    },
}
"""For each kind of thing the names that it has elsewhere, with a sentence that says what to write here."""

ARGUMENTS: Mapping[str, tuple[str, ...] | str] = {
    **dict.fromkeys(("axes", "dim", "dims"), ("axis",)),
    **dict.fromkeys(("drop_rate", "p", "prob"), ("rate",)),
    **dict.fromkeys(
        ("features", "hidden_size", "out_channels", "out_features", "output_dim", "embedding_dim", "size"),
        ("units", "filters", "shape"),
    ),
    **dict.fromkeys(
        ("in_channels", "in_features", "input_dim", "input_shape", "input_size", "embed_dim", "d_model", "key_dim"),
        "The size of the input is that of the node it is called on: leave it out.",
    ),
    **dict.fromkeys(("pool_size", "kernel_size", "scale_factor", "output_size"), ("size", "kernel_size")),
    **dict.fromkeys(("attn_mask", "attention_mask", "key_padding_mask"), ("mask",)),
    **dict.fromkeys(("num_embeddings", "vocabulary_size"), ("count",)),
    **dict.fromkeys(("dim_feedforward", "intermediate_dim"), ("hidden",)),
    **dict.fromkeys(("interpolation", "align_corners"), ("mode",)),
    **dict.fromkeys(("h0", "hx", "state"), ("initial_state",)),
    **dict.fromkeys(("nhead", "num_heads"), ("heads",)),
    "batch_first": "The batch is always the first axis: leave it out.",
    "hidden_layer_sizes": "Write a function build(x, outputs, rng) that returns the node of the outputs.",
    "data_format": "The channels are always the second axis: leave it out.",
    "dilation_rate": ("dilation",),
    "kernel": ("weight",),
    "nonlinearity": ("activation",),
    "norm_first": ("norm",),
    "num_groups": ("groups",),
    "num_layers": ("layers",),
    "strides": ("stride",),
    **dict.fromkeys(("params", "parameters", "var_list"), "Parameters are those of the loss: optimizer.updates(loss)."),
    **dict.fromkeys(("cuda", "device"), _DEVICE),
    **dict.fromkeys(("a_max", "clip_value_max", "max"), ("hi",)),
    **dict.fromkeys(("a_min", "clip_value_min", "min"), ("lo",)),
    **dict.fromkeys(("num_classes", "n_classes"), ("depth", "classes")),
    **dict.fromkeys(("is_training", "train", "mode"), ("training",)),
    "alpha": ("negative_slope", "learning_rate"),
    "batch": ("batch_size",),
    **dict.fromkeys(("betas", "beta_1"), ("beta1",)),
    "beta_2": ("beta2",),
    "bias": ("use_bias",),
    "bias_initializer": ("bias_init",),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_value",),
    "decay": ("weight_decay",),
    **dict.fromkeys(("elementwise_affine", "affine", "gamma", "scale"), ("use_weight",)),
    **dict.fromkeys(("beta", "center"), ("use_bias",)),
    **dict.fromkeys(("normalized_shape", "num_features"), "The sizes are those of the input: leave it out."),
    "eps": ("epsilon",),
    "feed_dict": ("feed",),
    "generator": ("rng",),
    "inplace": "Nodes never change, so there is nothing to be done in place: leave it out.",
    "input": ("x", "feed"),
    **dict.fromkeys(("keep_dims", "keepdim"), ("keepdims",)),
    **dict.fromkeys(("init", "kernel_initializer"), ("weight_init",)),
    "kernel_regularizer": "Add nn.l2(layer.weight) to the loss.",
    **dict.fromkeys(("lr", "learning_rate_init"), ("learning_rate",)),
    **dict.fromkeys(("max_iter", "n_epochs"), ("epochs",)),
    "negative_slope": ("alpha",),
    "random_state": ("rng", "seed"),
    "requires_grad": ("trainable",),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), ("accumulate",)),
    **dict.fromkeys(("param_groups", "parameter_groups"), ("groups",)),
    **dict.fromkeys(("grad_scaler", "scaler"), ("loss_scale",)),
    "validation_data": ("validation",),
    "verbose": ("progress",),
    **dict.fromkeys(("baselines", "reference"), ("baseline",)),
    **dict.fromkeys(("n_samples", "nt_samples"), ("samples",)),
    **dict.fromkeys(("noise_level", "stdevs"), ("sigma",)),
    "n_steps": ("steps",),
    **dict.fromkeys(("min_delta", "patience"), ("early_stopping",)),
    "restore_best_weights": ("restore_best", "early_stopping"),
    "sliding_window_shapes": ("window",),
}
"""What arguments are called elsewhere: with what they may be called here, or a sentence."""


_OPERATORS = {"xor": ("^", "bitwise_xor"), "lshift": ("<<", "left_shift"), "rshift": (">>", "right_shift")}
"""Operators that arrays have and nodes lack: the sign, and what to call instead."""


def _refused(sign: str, name: str) -> Callable[[object, object], NoReturn]:
    def refuse(thing: object, other: object) -> NoReturn:
        raise UsageError(f"nodes have no operator {sign}: write gn.{name}(a, b)")

    return refuse


class Absent:
    """An attribute that a thing has in other libraries. To read it is an error, which says what to write here.

    It is a descriptor of the class, since `__getattr__` would make every look-up of an attribute slower.
    """

    def __init__(self, what: str, name: str, hint: str | Callable[[str], str]) -> None:
        self._what, self._name, self._hint = what, name, hint
        self.__doc__ = hint if isinstance(hint, str) else f"Write gn.{name}."  # what `help` shows

    def __get__(self, thing: object, owner: type) -> NoReturn:
        hint = f". {self._hint}" if isinstance(self._hint, str) else f": write {self._hint(self._name)}"
        says = f'{self._what.format(owner.__name__)} has no attribute "{self._name}"{hint}'
        raise attribute_error(says)


def elsewhere(kind: str, what: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator of a class: the names of its kind in `ELSEWHERE` are errors that say what to write here.

    Parameters
    ----------
    kind : str
        A table of `ELSEWHERE`.
    what : str
        What a thing of the class is called in a sentence: "a node". ``{}`` is the name of the class.

    Examples
    --------
    >>> @elsewhere("node", "a node")
    ... class Node: pass
    >>> Node().detach
    Traceback (most recent call last):
    AttributeError: a node has no attribute "detach". Write gn.stop_gradient(node).
    """

    def described(cls: type[T]) -> type[T]:
        absent = {name: Absent(what, name, hint) for name, hint in ELSEWHERE[kind].items()}
        signs = [(f"__{r}{name}__", _refused(*sign)) for name, sign in _OPERATORS.items() for r in ("", "r")]
        for name, member in {"__dir__": _present, **absent, **dict(signs if kind == "node" else ())}.items():
            setattr(cls, name, member)
        return cls

    return described


def _present(thing: object) -> list[str]:
    names = object.__dir__(thing)
    return [name for name in names if not isinstance(inspect.getattr_static(thing, name, None), Absent)]


def attribute_error(says: str) -> AttributeError:
    """Return the error for a name that does not exist, whose text says what does: Python adds no guess of its own."""
    return AttributeError(says, name=None, obj=None)


def instead(kind: str, name: str, known: Collection[str]) -> str:
    """Return a clause that says what to write for a name of elsewhere; else what is spelt alike.

    Examples
    --------
    >>> instead("nn", "Linear", ["Dense"]), instead("nn", "Denze", ["Dense"])
    (' Write nn.Dense(units).', ' Did you mean "Dense"?')
    """
    if name.startswith("__"):  # a tool asks whether there is such a thing, and does so often
        return ""
    hint = ELSEWHERE[kind].get(name)
    return f" {hint}" if hint else near(name, known)


def argument(name: str, known: Collection[str]) -> str:
    """Return a clause that says how an argument is called here.

    Examples
    --------
    >>> argument("lr", ["learning_rate"]), argument("axos", ["axis"])
    (' Here it is learning_rate=.', ' Did you mean "axis"?')
    """
    meant = ARGUMENTS.get(name, ())
    if isinstance(meant, str):
        return f" {meant}"
    found = next((other for other in meant if other in known), None)
    return near(name, known) if found is None else f" Here it is {found}=."
