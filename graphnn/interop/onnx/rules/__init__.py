"""The rules: what each ONNX operation is in graphnn. Importing this registers them."""

from . import arithmetic as arithmetic
from . import shapes as shapes
