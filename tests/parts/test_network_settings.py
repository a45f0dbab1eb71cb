"""What the configuration says about the way out, and what is refused."""

from pathlib import Path

import pytest

from pasture.isolation.network.options import NetworkOptions
from pasture.kit.errors import OperatorError
from pasture.settings import load


def configured(directory: Path, text: str) -> Path:
    file = directory / "pasture.toml"
    file.write_text(text)
    return file


def test_everything_about_the_network_is_read_from_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    file = configured(
        tmp_path,
        'network = "none"\nnetwork_range = "100.64.0.0/16"\nnetwork_deny = ["10.0.0.0/8"]\n'
        'network_allow_host = true\nnetwork_resolvers = ["192.0.2.53"]\n',
    )
    assert load(file, {"network": "nat"}).network_options == NetworkOptions(
        "nat", "100.64.0.0/16", ("10.0.0.0/8",), allow_host=True, resolvers=("192.0.2.53",)
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('network = "bridge"', "there is no network 'bridge'; there are auto, nat, none."),
        ('network_deny = ["10.0.0.1/8"]', "10.0.0.1/8 has host bits set"),
        ('network_deny = "10.0.0.0/8"', "which is not a list of texts"),
        ("network_resolvers = [53]", "which is not a list of texts"),
        ('network_default = "auto"', "network_default is 'auto'; it must be nat or none."),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(OperatorError) as refused:
        load(configured(tmp_path, text), {})
    assert why in refused.value.what
