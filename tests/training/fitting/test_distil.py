"""A student that is fitted to probabilities."""

import torch

from stockpot.data import digits
from stockpot.networks import build
from stockpot.training import Fit, fit
from stockpot.training.fitting.loop import distil

SHAPE = {"num_classes": 10, "in_channels": 1, "image_size": 8}
HOW = Fit(epochs=6, lr=3e-3)


def test_hard_targets_are_labels():
    data = digits().take(torch.arange(200))
    start = build("mlp", width=16, **SHAPE)
    targets = torch.nn.functional.one_hot(data.labels, 10).float()
    student = distil(HOW, start, data, targets, 5)
    fitted = fit(start, data, Fit(epochs=6, lr=3e-3, seed=5))
    for mine, theirs in zip(student.parameters(), fitted.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_the_student_learns_the_teacher_and_not_the_labels():
    data = digits().take(torch.arange(600))
    start = build("mlp", width=32, **SHAPE)
    shifted = torch.nn.functional.one_hot((data.labels + 1) % 10, 10).float()
    student = distil(Fit(epochs=20, lr=3e-3), start, data, 0.9 * shifted + 0.01, 0)
    said = student(data.images).argmax(dim=1)
    assert ((said == (data.labels + 1) % 10).float().mean()) > 0.8
