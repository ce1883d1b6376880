"""The other fusion networks, a file each, on the interface of `fusion.network`.

Each is written from its paper and from what the authors' published files and programs show;
`experiments/README.md` lists them with their parameter counts, what each was checked against, and
the methods that were left out. `fusion.weights` loads them.
"""

from fusion.methods.auif import AUIF
from fusion.methods.ddcgan import DDcGAN
from fusion.methods.densefuse import DenseFuse
from fusion.methods.didfuse import DIDFuse
from fusion.methods.fusiongan import FusionGAN
from fusion.methods.ifcnn import IFCNN
from fusion.methods.pmgi import PMGI
from fusion.methods.res2fusion import Res2Fusion
from fusion.methods.rfn_nest import RFNNest
from fusion.methods.sdnet import SDNet
from fusion.methods.swinfusion import SwinFusion
from fusion.methods.u2fusion import U2Fusion

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
