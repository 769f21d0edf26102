"""Does a model whose layers have another scale, for the same function, spoil an average?

    python examples/results/rescaled.py RUN/mlp/pool-0 mlp
    python examples/results/rescaled.py RUN/resnet-20-width-8/pool-0 '{name: resnet-20, width: 8}'

RUN is of origins-pretrained.yml. The third of three fine-tunes is multiplied by a factor in its
first weight matrix and divided in the second (mlp), or by the factor and its inverse in turn in
all layers that batch norm follows. Statistics of batch norm are estimated again. Prints, for each
factor, the accuracy of the average on the selection split and what `diagnose` says.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file

from stockpot.networks import has_batch_norm, open_network
from stockpot.recipes.reading.yaml import load_yaml
from stockpot.studies import diagnose
from stockpot.training import rescale_to_scope, scope_of
from stockpot.training.additions.scopes import Scope

FACTORS = (1, 2, 4, 8, 10)


def of_other_scale(network, factor):
    """The state dict of a network that computes the same."""
    if has_batch_norm(network):
        own = scope_of(network).items()
        factors = (factor if k % 2 else 1 / factor for k in range(len(own)))
        aim = {n: Scope(s.mean, s.std * f) for (n, s), f in zip(own, factors, strict=True)}
        return rescale_to_scope(network, aim, keep="function").state
    state = dict(network.state_dict())
    first, second = [name for name, one in state.items() if one.ndim > 1][:2]
    for name in (first, first.replace("weight", "bias")):
        state[name] = state[name] * factor
    state[second] = state[second] / factor
    return state


def main(pool, spec):
    """Print a line for each factor."""
    network = load_yaml(spec, "the network") if spec.startswith("{") else spec
    states = [load_file(one) for one in sorted(Path(pool).glob("ingredient-*.safetensors"))[:3]]
    last = open_network(network, num_classes=10, in_channels=1, image_size=8).eval()
    last.load_state_dict(states[2])
    for factor in FACTORS:
        models = [*states[:2], of_other_scale(last, factor)]
        found = diagnose(models, network=network, data="digits")
        seen = found.gradients
        print(
            f"factor {factor}: the models are right on "
            f"{', '.join(f'{one.accuracy:.1%}' for one in seen.models)}, their average on "
            f"{seen.mean.accuracy:.1%}; the third is {found.models[2].far:.2f} times as far off; "
            f"mergeable: {found.mergeable}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
