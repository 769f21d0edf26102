"""One reader per family of data sets; each gives a Collection with the set's official parts."""

from .bundled import Digits as Digits
from .celeba import Celeba as Celeba
from .chestx_ray14 import ChestxRay14 as ChestxRay14
from .cifar import Cifar10 as Cifar10
from .cifar import Cifar100 as Cifar100
from .csv_text import CsvText as CsvText
from .emoji import Emoji as Emoji
from .hugging_face import HuggingFace as HuggingFace
from .idx import FashionMnist as FashionMnist
from .idx import Mnist as Mnist
from .image_folder import ImageFolder as ImageFolder
from .medmnist import Medmnist as Medmnist
from .mnist_5k import Mnist5k as Mnist5k
from .tiny_imagenet import TinyImagenet as TinyImagenet
