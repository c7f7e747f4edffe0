"""What computes the network for the search: XLA, or ONNX Runtime called from inside it."""

from selfplay.inference.backend import Agreement as Agreement
from selfplay.inference.backend import Counts as Counts
from selfplay.inference.backend import Inference as Inference
from selfplay.inference.backend import XlaInference as XlaInference
from selfplay.inference.choose import make_inference as make_inference
from selfplay.inference.choose import multiplications as multiplications
