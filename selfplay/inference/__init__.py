"""What computes the network for the search: XLA, or ONNX Runtime called from inside it."""

from selfplay.inference.choose import make_inference as make_inference
from selfplay.inference.choose import multiplications as multiplications
from selfplay.inference.contract import Agreement as Agreement
from selfplay.inference.contract import Counts as Counts
from selfplay.inference.contract import Inference as Inference
from selfplay.inference.contract import XlaInference as XlaInference
