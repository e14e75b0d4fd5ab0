"""Networks that learn to denoise: raw networks, and what turns each into a denoiser(x, sigma).

A raw network F(c_in x, c_noise) knows nothing of noise levels or units; `Preconditioned`, `TokenDenoiser` and
`EpsilonDenoiser` give it both. The result is a torch Module and a denoiser at once: what trains it and what measures it
see the same object.
"""

from nearsight.networks.attention_unet import AttentionUNet
from nearsight.networks.chain import EpsilonDenoiser
from nearsight.networks.classifier import Classifier, clothes_classifier
from nearsight.networks.committee import Committee, tops_and_trousers
from nearsight.networks.ddpmpp import DdpmPlusPlus
from nearsight.networks.depth_unet import DepthUNet, bypassed, solve_width
from nearsight.networks.mlp import MLP
from nearsight.networks.parts import InParts
from nearsight.networks.preconditioned import Preconditioned
from nearsight.networks.transformer import TokenDenoiser, TokenTransformer
from nearsight.networks.unet import UNet

__all__ = ["MLP", "AttentionUNet", "Classifier", "Committee", "DdpmPlusPlus", "DepthUNet", "EpsilonDenoiser", "InParts",
           "Preconditioned", "TokenDenoiser", "TokenTransformer", "UNet", "bypassed", "clothes_classifier", "solve_width",
           "tops_and_trousers"]
