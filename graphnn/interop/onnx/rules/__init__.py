"""The rules: what each ONNX operation is in graphnn. Importing this registers them."""

from . import activations as activations
from . import arithmetic as arithmetic
from . import control as control
from . import indexing as indexing
from . import layouts as layouts
from . import losses as losses
from . import products as products
from . import reductions as reductions
from . import sequences as sequences
from . import shapes as shapes
