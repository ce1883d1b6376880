"""The other fusion networks, a file each, on the interface of `fusion.networks.base`.

Each is written from its paper and from what the authors' published files and programs show;
`experiments/README.md` lists them with their parameter counts, what each was checked against, and
the methods that were left out. `fusion.networks.weights` loads them.
"""

from fusion.networks.auif import AUIF
from fusion.networks.ddcgan import DDcGAN
from fusion.networks.densefuse import DenseFuse
from fusion.networks.didfuse import DIDFuse
from fusion.networks.fusiongan import FusionGAN
from fusion.networks.ifcnn import IFCNN
from fusion.networks.pmgi import PMGI
from fusion.networks.res2fusion import Res2Fusion
from fusion.networks.rfn_nest import RFNNest
from fusion.networks.sdnet import SDNet
from fusion.networks.swinfusion import SwinFusion
from fusion.networks.u2fusion import U2Fusion

__all__ = [
    "AUIF",
    "IFCNN",
    "PMGI",
    "DDcGAN",
    "DIDFuse",
    "DenseFuse",
    "FusionGAN",
    "RFNNest",
    "Res2Fusion",
    "SDNet",
    "SwinFusion",
    "U2Fusion",
]
