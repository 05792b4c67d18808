"""Operations that are not read, and why. The page of ONNX operations in the documentation is made from this."""

from __future__ import annotations

from ..function_bodies import composed
from ..rule_registry import RULES

_SHAPES = "and graphnn knows all shapes before a run"
_TEXT = "it works on texts, and graphnn has arrays of numbers"
_CLASSICAL = "it is of the domain of classical models, of which graphnn reads none"
_TRAINING = "it is of a preview domain for training; graphnn has gradients and optimizers of its own"

REFUSED: dict[tuple[str, str], str] = {
    ("", "ImageDecoder"): "it decodes files of pictures, which is for the program around the model",
    ("", "NonMaxSuppression"): "how many boxes it keeps depends on data; end the model before it, at its operands",
    **{("", name): _TEXT for name in ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit")},
    **{
        ("ai.onnx.ml", name): _CLASSICAL
        for name in (
            "ArrayFeatureExtractor",
            "Binarizer",
            "CastMap",
            "CategoryMapper",
            "DictVectorizer",
            "FeatureVectorizer",
            "Imputer",
            "LabelEncoder",
            "LinearClassifier",
            "LinearRegressor",
            "Normalizer",
            "OneHotEncoder",
            "SVMClassifier",
            "SVMRegressor",
            "Scaler",
            "TreeEnsemble",
            "TreeEnsembleClassifier",
            "TreeEnsembleRegressor",
            "ZipMap",
        )
    },
    **{("ai.onnx.preview.training", name): _TRAINING for name in ("Adagrad", "Adam", "Gradient", "Momentum")},
}
"""(domain, operation) → why it is not read."""

_KNOWN = f"only of what is known when the model is read, or given by `values`: its shape depends on it, {_SHAPES}"
CONDITIONS: dict[str, str] = {
    "BitCast": "of data, only between whole numbers of one width",
    "Compress": _KNOWN.replace("what is known", "a condition that is known"),
    "If": "on data, both branches must give the same shapes; a run computes the one it takes",
    "Loop": "if it stacks results of its iterations, their number must be known when the model is read, or be a size",
    "NonZero": _KNOWN,
    **dict.fromkeys(("GRU", "LSTM", "RNN", "Scan"), "over a size with a name, or more than 64 steps, as a loop"),
    "SequenceAt": "sequences are lists while the model is read, so positions must be known",
    "Unique": _KNOWN,
    **dict.fromkeys(
        ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"),
        "a node draws the same numbers in every run, by its seed or its place in the model",
    ),
}
"""Operation → what is to be known of how it is read."""


def read() -> list[tuple[str, str]]:
    """Return the (domain, operation) pairs that are read: by rules, or as ONNX composes them."""
    return sorted({*RULES, *composed()})


def unread() -> list[str]:
    """Return the operations of the standard domain that are neither read nor refused for a reason."""
    from onnx import defs

    names = {each.name for each in defs.get_all_schemas() if not each.domain}
    return sorted(names - {name for domain, name in (*read(), *REFUSED) if not domain})
