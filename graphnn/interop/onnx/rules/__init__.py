"""The rules: what each ONNX operation is in graphnn. Importing this registers them."""

from . import activations as activations
from . import arithmetic as arithmetic
from . import control as control
from . import convolution as convolution
from . import indexing as indexing
from . import layouts as layouts
from . import losses as losses
from . import pooling as pooling
from . import products as products
from . import reductions as reductions
from . import sampling as sampling
from . import sequences as sequences
from . import shapes as shapes
