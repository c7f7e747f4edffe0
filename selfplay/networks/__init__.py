"""Networks: from observations to policy, value and auxiliary predictions. Pure."""

from selfplay.networks.blocks import attention_heads as attention_heads
from selfplay.networks.blocks import cell_offsets as cell_offsets
from selfplay.networks.blocks import inner_config as inner_config
from selfplay.networks.blocks import is_transformer as is_transformer
from selfplay.networks.build import NEXT_POLICY as NEXT_POLICY
from selfplay.networks.build import SHORT_TERM_VALUES as SHORT_TERM_VALUES
from selfplay.networks.build import SOFT_POLICY as SOFT_POLICY
from selfplay.networks.build import Network as Network
from selfplay.networks.build import Weights as Weights
from selfplay.networks.build import build_network as build_network
from selfplay.networks.build import compute_dtype as compute_dtype
from selfplay.networks.growth import grow as grow
from selfplay.networks.growth import growth_obstacle as growth_obstacle
from selfplay.networks.modules import Prediction as Prediction
from selfplay.networks.modules import expected_result as expected_result
