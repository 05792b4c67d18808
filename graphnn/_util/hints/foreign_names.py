"""The names that other libraries have for functions, classes and attributes, and what to write here."""

from __future__ import annotations

from collections.abc import Mapping

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

NUMPY: Mapping[str, str] = {
    "add.accumulate": "cumsum",
    "add.reduce": "sum",
    "amax": "max",
    "amin": "min",
    "dot": "matmul",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "multiply.reduce": "prod",
    "ravel": "reshape",
}
"""What NumPy's own functions are called here, for the error of one that is called on a node."""

_RUN = "Write gn.run(node, feed) for its value; that of a parameter is node.value."
_GRAD = (
    "Write gn.grad(loss, parameters), which returns the gradients as nodes; an optimizer makes them by itself, in "
    "optimizer.updates(loss)."
)
_STEP = "Write step = gn.compile(loss, optimizer.updates(loss)); each call of it, step(feed), is a step."
_FIT = "Write nn.fit(step, feed, epochs=…), where step = gn.compile(loss, optimizer.updates(loss))."
_ZERO = "Gradients are nodes and do not add up from step to step: there is nothing to set to zero, leave it out."
DEVICE = "All is computed by NumPy, on the CPU: leave it out."
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
        **dict.fromkeys(("cpu", "cuda", "device", "to"), f"{DEVICE} A dtype is changed by gn.cast(node, dtype)."),
        **dict.fromkeys(("astype", "bool", "double", "float", "half", "int", "long", "type"), _CAST),
        **dict.fromkeys(("bmm", "dot", "mm"), _MATMUL),
        **dict.fromkeys(("clone", "contiguous", "copy"), "A node never changes: use it as it is."),
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
        "mT": "Write gn.swapaxes(node, -1, -2).",
        "masked_fill": "Write gn.where(mask, value, node).",
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
        **dict.fromkeys(("Input", "Placeholder", "input"), _PLACEHOLDER),
        **dict.fromkeys(
            ("full", "linspace", "ones"),
            _CONSTANT.replace("array).", "np.ones(…)), or gn.zeros(shape, graph=graph) + value if a size has a name."),
        ),
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
        **dict.fromkeys(("Module", "Model"), "Write nn.Layer."),
        **dict.fromkeys(("plot", "plot_model", "visualize"), "Write gn.draw(fetches)."),
        **dict.fromkeys(("eval", "forward", "predict"), "Write gn.run(fetches, feed)."),
        "train": _FIT,
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
        "mse_loss": "Write nn.mean_squared_error(predictions, targets).",
        "no_grad": "A gradient is made only where it is asked for; gn.stop_gradient(x) lets none through.",
        "permute": "Write gn.transpose(x, axes).",
        **dict.fromkeys(
            ("scatter", "scatter_"),
            "Write gn.put_along_axis(x, indices, values, axis), or gn.scatter_nd(values, indices, shape), which adds "
            "to zeros.",
        ),
        **dict.fromkeys(
            ("bincount", "scatter_add", "segment_sum", "unsorted_segment_sum"),
            "Write gn.index_add(x, indices, shape, axis), which adds parts of x to zeros of this shape.",
        ),
        **dict.fromkeys(
            ("scatter_reduce", "segment_max", "segment_min", "segment_prod", "scatter_max", "scatter_min"),
            'Write gn.put_along_axis(x, indices, values, axis, reduce="maximum"), "minimum" or "multiply"; '
            "gn.index_add(x, indices, shape, axis) adds.",
        ),
        **dict.fromkeys(
            ("dynamic_update_slice", "slice_scatter", "slice_update"), "Write gn.update_slice(x, update, start, axis)."
        ),
        **dict.fromkeys(("log_sigmoid", "logsigmoid"), "Write -gn.softplus(-x), which is exact."),
        **dict.fromkeys(("relu6", "hardtanh"), "Write gn.clip(x, lo, hi)."),
        "chunk": "Write gn.split(x, parts, axis).",
        "cosine_similarity": "Write gn.sum(x * y, axis=-1) / (gn.norm(x, axis=-1) * gn.norm(y, axis=-1)).",
        "full_like": "Write gn.zeros_like(x) + value.",
        "interpolate": "Write nn.UpSample(size)(x).",
        "logaddexp": "Write gn.logsumexp(gn.stack([x, y]), axis=0).",
        "masked_fill": "Write gn.where(mask, value, x).",
        "mish": "Write x * gn.tanh(gn.softplus(x)).",
        "multinomial": "Write gn.categorical(counter, logits).",
        "normalize": "Write x / gn.norm(x, axis=-1, keepdims=True).",
        "rsqrt": "Write 1.0 / gn.sqrt(x).",
        "swish": "Write gn.silu(x).",
        "tensordot": "Write gn.einsum(subscripts, x, y).",
        **dict.fromkeys(("fori_loop", "foldl"), "Write gn.scan(step, init, xs), or gn.scan(step, init, length=n)."),
        "unsqueeze": "Write gn.expand_dims(x, axis).",
        # What these were called before.
        **{
            f"{reduce}_along_axis": f'Write gn.put_along_axis(x, indices, values, axis, reduce="{reduce}").'
            for reduce in ("maximum", "minimum", "multiply")
        },
        **dict.fromkeys(
            ("loop", "implicit_loop", "loop_bundle", "loop_item"),
            "Write gn.scan, gn.while_loop or gn.fixed_point, which make it.",
        ),
        "branch": "Write gn.cond(flag, then, otherwise, *operands), which makes it.",
        "divide_by": "Write gn.divide_by_size(x, size).",
        "Film": "Write gn.Recording.",
        "LookupFailure": "Write gn.NotFoundError.",
        "first_equal": "Write gn.first_occurrence(x, y, axis).",
        "place": "Write gn.scatter_labels(x, labels, classes).",
        "tally": "Write gn.sum_over_batches(x).",
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
        **dict.fromkeys(("GELU", "SiLU", "Swish"), "Write gn.gelu or gn.silu: functions of a node serve as layers."),
        **dict.fromkeys(
            ("MSE", "MSELoss", "MeanSquaredError", "mse", "mse_loss"), "Write nn.mean_squared_error(predictions, targets)."
        ),
        **dict.fromkeys(("L1Loss", "MAE", "mae"), "Write nn.mean_absolute_error(predictions, targets)."),
        **dict.fromkeys(
            ("CrossEntropyLoss", "SparseCategoricalCrossentropy", "cross_entropy"),
            "Write nn.softmax_crossentropy(logits, labels).",
        ),
        **dict.fromkeys(("CategoricalCrossentropy",), "Write nn.categorical_crossentropy(probabilities, labels)."),
        **dict.fromkeys(("NLLLoss", "nll", "nll_loss"), "Write nn.negative_log_likelihood(log_probabilities, labels)."),
        **dict.fromkeys(("HuberLoss", "Huber", "huber_loss"), "Write nn.huber(predictions, targets)."),
        **dict.fromkeys(("SmoothL1Loss", "smooth_l1_loss"), "Write nn.smooth_l1(predictions, targets)."),
        **dict.fromkeys(("KLDivLoss", "KLDivergence", "kl_div"), "Write nn.kl_divergence(log_probabilities, targets)."),
        **dict.fromkeys(("TripletMarginLoss", "triplet_loss"), "Write nn.triplet_margin(anchor, positive, negative)."),
        **dict.fromkeys(("PoissonNLLLoss", "Poisson"), "Write nn.poisson_nll(predictions, targets)."),
        "CosineEmbeddingLoss": "Write nn.cosine_embedding(first, second, alike).",
        "MarginRankingLoss": "Write nn.margin_ranking(first, second, order).",
        **dict.fromkeys(("AUC", "auc", "roc_auc_score"), "Write nn.roc_auc(scores, labels)."),
        **dict.fromkeys(("TopKCategoricalAccuracy", "top_k"), "Write nn.top_k_accuracy(scores, labels, k)."),
        **dict.fromkeys(("R2Score", "r2_score"), "Write nn.r2(predictions, targets)."),
        **dict.fromkeys(("RMSE", "rmse", "RootMeanSquaredError"), "Write nn.root_mean_squared_error(predictions, targets)."),
        "Hinge": "Write nn.hinge(predictions, labels).",
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
        **dict.fromkeys(
            ("Lambda", "Permute", "Reshape", "Unflatten"),
            "Functions of a node serve as layers: nn.Sequential(lambda x: gn.reshape(x, shape), nn.Dense(units)).",
        ),
        **dict.fromkeys(("GRUCell", "LSTMCell", "RNNCell"), "Write nn.LSTM(units), or a loop of your own by gn.scan."),
        **dict.fromkeys(
            ("clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "utils"),
            "Write nn.Adam(learning_rate, clip_norm=1.0); clip_value= clips each element.",
        ),
        **dict.fromkeys(("ConstantPad2d", "ReflectionPad2d", "ZeroPadding2D"), "Write gn.pad(x, pad_width)."),
        "Add": "Write x + y.",
        "Concatenate": "Write gn.concatenate([x, y], axis).",
        "GaussianNoise": "Write x + std * gn.random_normal(counter, x.shape).",
        "LogSoftmax": "Write gn.log_softmax: functions of a node serve as layers.",
        "Softplus": "Write gn.softplus: functions of a node serve as layers.",
        "Masking": "Give the layers that follow a mask: layer(x, mask=mask).",
        "ModelCheckpoint": "Write nn.fit(step, feed, checkpoint=path).",
        "ReduceLROnPlateau": "Write a callback of nn.fit that sets optimizer.learning_rate.",
        "TimeDistributed": "Leave it out: nn.Dense acts along the last axis, whatever axes stand before it.",
        "Activation": 'Write nn.ReLU() and the like, or nn.Dense(units, activation="relu").',
        "BCEWithLogitsLoss": "Write nn.sigmoid_crossentropy(logits, labels).",
        "DataLoader": "Write nn.fit(step, feed, batch_size=32), which cuts a feed into batches and shuffles it. It "
        "takes a loader of PyTorch, too.",
        "Identity": "Leave it out.",
        "Input": _PLACEHOLDER,
        "Linear": "Write nn.Dense(units).",
        "ModuleList": "Write a list: layers in an attribute that is a list count among a layer's own.",
        "Parameter": _PARAMETER,
        **dict.fromkeys(
            ("activations", "functional"), "Write gn.relu(x) and the like: functions of nodes stand in gn themselves."
        ),
        "l1": "Write gn.sum(gn.abs(w)), to be added to the loss.",
    },
    "layer": {
        **dict.fromkeys(("fit", "fit_generator", "train_on_batch"), _FIT),
        **dict.fromkeys(("eval", "train", "training"), _MODES),
        **dict.fromkeys(
            (
                *("named_parameters", "trainable_parameters", "trainable_variables"),
                *("trainable_weights", "variables", "weights"),
            ),
            _PARAMETERS,
        ),
        **dict.fromkeys(
            ("load", "load_weights", "set_weights"),
            'Write layer.load_state_dict(state), with layout="torch" for that of PyTorch; gn.load(path) reads a whole graph.',
        ),
        **dict.fromkeys(("get_weights", "state"), "Write layer.state_dict(), a dict of arrays by name."),
        **dict.fromkeys(("save", "save_weights"), _SAVE),
        **dict.fromkeys(("cpu", "cuda", "double", "float", "half", "to"), f"{DEVICE} Graph(dtype=…) says the dtype."),
        **dict.fromkeys(("predict", "predict_on_batch"), "Write gn.run(layer(x), feed)."),
        "backward": _GRAD,
        **dict.fromkeys(
            ("add_weight", "register_buffer", "register_parameter"),
            "Write x.graph.parameter(name, value) at the first call, and keep it in an attribute.",
        ),
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
        **dict.fromkeys(
            ("freeze", "requires_grad", "requires_grad_", "trainable", "unfreeze"),
            "Write optimizer.updates(loss, parameters) with the parameters that are to be trained; the others stay as "
            "they are.",
        ),
        **dict.fromkeys(
            ("append", "extend", "insert"),
            "Write sequential.add(layer); in a layer of your own, keep a list of layers in an attribute.",
        ),
        **dict.fromkeys(
            ("children", "modules", "named_children", "named_modules", "get_layer"),
            "Write network[0] for a part of a Sequential; any other layer has its parts as attributes.",
        ),
        "kernel": "Write layer.weight.",
        "summary": "Write nn.summary(layer).",
        "zero_grad": _ZERO,
    },
    "layers": {
        **dict.fromkeys(("append", "extend", "insert"), "Write sequential.add(layer)."),
        **dict.fromkeys(
            ("clear", "pop", "remove"), "Write sequential[:-1] for another Sequential, of some of the layers."
        ),
    },
    "optimizer": {
        **dict.fromkeys(("apply_gradients", "minimize", "step"), _STEP),
        **dict.fromkeys(("state_dict", "load_state_dict"), f"What it keeps are parameters of the graph. {_SAVE}"),
        "lr": "Write optimizer.learning_rate.",
        "most_tries": "Write optimizer.max_evaluations.",
        "param_groups": "Write optimizer.updates(loss, groups=[…]); optimizer.learning_rate can be set between steps.",
        "zero_grad": _ZERO,
    },
    "ema": {"evaluating": "Write ema.for_evaluation.", "state": "Write ema.state_dict(layer)."},
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
        "evaluating": "Write graph.evaluation.",
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
        **dict.fromkeys(("uniform_", "RandomUniform"), "Write nn.init.uniform(lo, hi)."),
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

SET: Mapping[str, tuple[str, ...]] = {
    "layer": ("kernel", "requires_grad", "trainable", "training"),
    "optimizer": ("lr",),
}
"""Names that other libraries set, which would change nothing here: to set one is the same error as to read it."""
