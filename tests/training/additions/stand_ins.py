"""VGG-19, ResNet-50 and DenseNet-121 with the module trees that torchvision and timm have.

Convolutions stand where they stand there, so that what visits them can be counted without either.
"""

import torch
from torch import Tensor, nn

VGG19 = (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M")


class Vgg(nn.Module):
    def __init__(self, width: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for one in VGG19:
            if isinstance(one, str):
                layers.append(nn.MaxPool2d(2))
                continue
            outputs = one // 64 * 4 * width
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride > 1 or inputs != 4 * width:
            conv = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
        inputs = 4
        for number, (width, depth) in enumerate(((4, 3), (8, 4), (16, 6), (32, 3)), 1):
            blocks = []
            for at in range(depth):
                blocks.append(Bottleneck(inputs, width, 2 if at == 0 and number > 1 else 1))
                inputs = 4 * width
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    def __init__(self, growth: int = 4) -> None:
        super().__init__()
        features: dict[str, nn.Module] = {"conv0": nn.Conv2d(3, 8, 7, 2, 3, bias=False)}
        inputs = 8
        for number, depth in enumerate((6, 12, 24, 16), 1):
            block = nn.Sequential()
            for at in range(depth):
                block.add_module(f"denselayer{at + 1}", DenseLayer(inputs + at * growth, growth))
            inputs += depth * growth
            features[f"denseblock{number}"] = block
            if number < 4:
                features[f"transition{number}"] = nn.Sequential(
                    nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, inputs // 2, 1, bias=False)
                )
                inputs //= 2
        self.features = nn.Sequential()
        for name, one in features.items():
            self.features.add_module(name, one)
        self.classifier = nn.Linear(inputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))
