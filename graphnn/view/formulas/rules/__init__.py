"""How each operation is written, under its class; and what several are together, under the kind of their scope."""

from . import elementwise as elementwise
from . import fallback as fallback
from . import layers as layers
from . import loops as loops
from . import products as products
from . import reductions as reductions
from . import shapes as shapes
