from dataclasses import replace

import pytest
import torch

from stockpot.data import digits
from stockpot.errors import FieldError
from stockpot.training.jobs.domains import Domains


@pytest.fixture
def data():
    """600 digits, the first 200 of one domain and the rest of another."""
    domain = (torch.arange(600) >= 200).long()
    some = digits().take(torch.arange(600))
    return replace(some, domains=("left", "right"), domain=domain)


def test_a_domain_is_kept_whole_and_a_fraction_of_the_rest(data):
    kept = Domains(names=("left",), keep=0.25, seed=3)(data).originals
    assert set(range(200)) <= set(kept.tolist())
    assert 70 < len(kept) - 200 < 130
    assert torch.equal(kept, Domains(names=("left",), keep=0.25, seed=3)(data).originals)
    assert len(Domains(names=("right",), keep=0)(data)) == 400


def test_an_unknown_domain_is_named(data):
    with pytest.raises(FieldError, match="has the domains left, right; got middle"):
        Domains(names=("left", "middle"))(data)


def test_data_without_domains_say_so():
    with pytest.raises(FieldError, match="'digits' has no domains; got left"):
        Domains(names=("left",))(digits().take(torch.arange(9)))
