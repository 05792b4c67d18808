"""The rules: what each ONNX operation is in graphnn. Importing this registers them."""

from . import activations as activations
from . import arithmetic as arithmetic
from . import attention as attention
from . import control as control
from . import convolution as convolution
from . import counting as counting
from . import images as images
from . import indexing as indexing
from . import layouts as layouts
from . import losses as losses
from . import microsoft as microsoft
from . import normalization as normalization
from . import pooling as pooling
from . import products as products
from . import quantization as quantization
from . import recurrence as recurrence
from . import reductions as reductions
from . import refused as refused
from . import resizing as resizing
from . import sampling as sampling
from . import sequences as sequences
from . import shapes as shapes
from . import signals as signals
