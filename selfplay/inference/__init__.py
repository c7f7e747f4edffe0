"""Inference: computes the network for the search, by XLA or by ONNX Runtime called from inside it.

In: weights and observations. Out: policies and values for the leaves of a search; exported files.
"""

from selfplay.inference.backend import Agreement as Agreement
from selfplay.inference.backend import Backend as Backend
from selfplay.inference.backend import Counts as Counts
from selfplay.inference.backend import Inference as Inference
from selfplay.inference.backend import Obstacle as Obstacle
from selfplay.inference.backend import Traits as Traits
from selfplay.inference.choose import instead_of as instead_of
from selfplay.inference.choose import make_inference as make_inference
from selfplay.inference.choose import multiplications as multiplications
from selfplay.inference.choose import usable_here as usable_here
from selfplay.inference.xla_backend import XlaInference as XlaInference
