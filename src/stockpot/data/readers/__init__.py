"""One reader per family of data sets; each gives a Collection with the set's official parts."""

from .celeba import celeba as celeba
from .chestx_ray14 import chestx_ray14 as chestx_ray14
from .cifar import cifar_10 as cifar_10
from .cifar import cifar_100 as cifar_100
from .csv_text import csv_text as csv_text
from .emoji import emoji as emoji
from .hugging_face import hugging_face as hugging_face
from .idx import fashion_mnist as fashion_mnist
from .idx import mnist as mnist
from .image_folder import image_folder as image_folder
from .medmnist import medmnist as medmnist
from .mnist_5k import mnist_5k as mnist_5k
from .tiny_imagenet import tiny_imagenet as tiny_imagenet
