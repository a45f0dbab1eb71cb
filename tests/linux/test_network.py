"""What a box with a way out reaches, and what it does not; and that nothing of it is left."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from contracts.isolation_programs import box, python
from linux import network_lab
from linux.box_fixtures import until
from linux.network_lab import ELSEWHERE, HOST, INTERNET, METADATA, PORT
from pasture.isolation.kinds import open_kind
from pasture.isolation.launcher.netlink import NETFILTER, Netlink
from pasture.isolation.network import nftables as nft
from pasture.isolation.network.options import NetworkOptions
from pasture.isolation.spec import Isolation, Sandbox
from pasture.kit.errors import OperatorError

OWNER = f"network-{os.getpid()}"
NAT = NetworkOptions(mode="nat", resolvers=(INTERNET,))

CONNECT = """
import socket
try:
    with socket.create_connection(({host!r}, {port}), timeout=3) as s:
        print(s.makefile().readline().strip())
except OSError as error:
    print("refused" if error.errno in (101, 111, 113) else repr(error))
"""
ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.sendto(b"?", ({host!r}, {port}))
print(s.recv(100).decode().strip())
"""
LISTEN = """
import socket, time
s = socket.create_server(("0.0.0.0", {port}))
print("listening", flush=True)
s.accept()[0].send(b"hello from a box")
"""
OWN_ADDRESS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.51.100.7", 1))
print(s.getsockname()[0])
"""


@pytest.fixture(scope="module", autouse=True)
def _only_with_nat() -> None:
    network_lab.skip_without_nat()


@pytest.fixture
def _lab() -> Iterator[None]:
    with network_lab.lab():
        yield


pytestmark = pytest.mark.usefixtures("_lab")


@asynccontextmanager
async def opened(directory: Path, options: NetworkOptions = NAT, owner: str = OWNER) -> AsyncIterator[Isolation]:
    isolation = open_kind("namespaces", run_directory=directory, owner=owner, network=options)
    await isolation.open()
    try:
        yield isolation
    finally:
        await isolation.close()


async def networked(isolation: Isolation, name: str = "one") -> Sandbox:
    return await isolation.create(replace(box(name), network=True))


async def said(sandbox: Sandbox, code: str, host: str = "", port: int = PORT) -> str:
    how, text = await python(sandbox, code.format(host=host, port=port))
    assert how.code == 0, text
    return text.strip()


async def test_it_reaches_the_internet_by_tcp_and_udp_as_the_host(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        sandbox = await networked(isolation)
        assert await said(sandbox, CONNECT, INTERNET) == f"hello {HOST}"
        assert await said(sandbox, ASK, INTERNET) == f"hello {HOST}"


async def test_a_box_without_a_way_out_reaches_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        sandbox = await isolation.create(box("one"))
        for host in (INTERNET, METADATA, HOST):
            assert await said(sandbox, CONNECT, host) == "refused"


async def test_the_metadata_service_is_refused_at_once_though_the_host_reaches_it(tmp_path: Path) -> None:
    connect = [sys.executable, "-c", CONNECT.format(host=METADATA, port=PORT)]
    assert (await asyncio.to_thread(subprocess.check_output, connect)) == f"hello {HOST}\n".encode()
    async with opened(tmp_path) as isolation:
        assert await said(await networked(isolation), CONNECT, METADATA) == "refused"


async def test_no_address_of_the_host_answers(tmp_path: Path) -> None:
    with network_lab.greeting():
        async with opened(tmp_path) as isolation:
            sandbox = await networked(isolation)
            gateway = str(await said(sandbox, OWN_ADDRESS)).rpartition(".")[0] + ".1"
            for host in (HOST, gateway, "127.0.0.1"):
                assert await said(sandbox, CONNECT, host) == "refused"


async def test_when_the_host_is_allowed_its_addresses_answer_and_its_loopback_does_not(tmp_path: Path) -> None:
    with network_lab.greeting():
        async with opened(tmp_path, replace(NAT, allow_host=True)) as isolation:
            sandbox = await networked(isolation)
            assert await said(sandbox, CONNECT, HOST) == f"hello {await said(sandbox, OWN_ADDRESS)}"
            assert await said(sandbox, CONNECT, "127.0.0.1") == "refused"
            assert await said(sandbox, CONNECT, METADATA) == "refused"


async def test_a_denied_network_is_refused_and_its_neighbour_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, replace(NAT, deny=(f"{ELSEWHERE}/32",))) as isolation:
        sandbox = await networked(isolation)
        assert await said(sandbox, CONNECT, ELSEWHERE) == "refused"
        assert await said(sandbox, CONNECT, INTERNET) == f"hello {HOST}"


async def test_boxes_do_not_reach_each_other_of_one_server_or_of_two(tmp_path: Path) -> None:
    async with (
        opened(tmp_path / "1") as isolation,
        opened(tmp_path / "2", owner=f"{OWNER}-2") as other,
        asyncio.TaskGroup() as tasks,
    ):
        listening = await networked(isolation)
        address = await said(listening, OWN_ADDRESS)
        listener = tasks.create_task(python(listening, LISTEN.format(port=PORT)))
        await until(lambda: len(listening.pids()) > 1)
        for sandbox in (await networked(isolation, "two"), await networked(other)):
            assert await said(sandbox, CONNECT, address) == "refused"
        # That it was listening is seen from the inside.
        while (seen := await said(listening, CONNECT, address)) == "refused":
            pass
        assert seen == "hello from a box"
        await listener


async def test_the_name_servers_are_those_of_the_options(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        assert (
            await said(await networked(isolation), "print(open('/etc/resolv.conf').read())") == f"nameserver {INTERNET}"
        )


async def test_fifty_boxes_leave_no_link_address_route_or_forwarding(tmp_path: Path) -> None:
    before = network_lab.everything()
    async with opened(tmp_path) as isolation:
        for n in range(50):
            sandbox = await networked(isolation, f"box-{n}")
            await sandbox.destroy()
        # The holder of the addresses, and the blank boxes in stock.
        await until(lambda: sum(name.startswith("pst") for name in network_lab.link_names()) <= 1 + isolation.stock)
    assert network_lab.everything() == before
    assert tables() == []


async def test_two_servers_do_not_disturb_each_other(tmp_path: Path) -> None:
    before = network_lab.everything()
    async with opened(tmp_path / "1") as first:
        sandbox = await networked(first)
        async with opened(tmp_path / "2", owner=f"{OWNER}-2") as second:
            assert await said(await networked(second), CONNECT, INTERNET) == f"hello {HOST}"
        assert await said(sandbox, CONNECT, INTERNET) == f"hello {HOST}"
    assert network_lab.everything() == before


async def test_forwarding_is_off_again_when_the_last_server_goes_whoever_turned_it_on(tmp_path: Path) -> None:
    before = network_lab.everything()
    first, second = opened(tmp_path / "1"), opened(tmp_path / "2", owner=f"{OWNER}-2")
    await first.__aenter__()
    isolation = await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert await said(await networked(isolation), CONNECT, INTERNET) == f"hello {HOST}"
    await second.__aexit__(None, None, None)
    assert network_lab.everything() == before


async def test_when_the_server_is_killed_the_next_start_clears_up(tmp_path: Path) -> None:
    before = network_lab.everything()
    serve_and_be_killed(tmp_path)
    assert any(name.startswith("pst") for name in network_lab.link_names())
    async with opened(tmp_path) as isolation:
        assert await said(await networked(isolation), CONNECT, INTERNET) == f"hello {HOST}"
    assert network_lab.everything() == before
    assert tables() == []


async def test_when_the_launcher_is_killed_its_boxes_and_the_next_have_a_way_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as isolation:
        first = await networked(isolation)
        os.kill(launcher_pid(), signal.SIGKILL)
        assert await said(await networked(isolation, "two"), CONNECT, INTERNET) == f"hello {HOST}"
        assert await said(first, CONNECT, INTERNET) == f"hello {HOST}"


async def test_flushing_the_rule_set_of_the_host_opens_nothing(tmp_path: Path) -> None:
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if release < (6, 9):
        pytest.skip("before Linux 6.9 no table can be kept from a flush")
    with network_lab.greeting():
        async with opened(tmp_path) as isolation:
            sandbox = await networked(isolation)
            with Netlink(NETFILTER) as rules:
                rules.transact(*nft.transaction(nft.no_tables()))
            assert await said(sandbox, CONNECT, HOST) == "refused"
            assert await said(sandbox, CONNECT, METADATA) == "refused"
            assert await said(sandbox, CONNECT, INTERNET) == f"hello {HOST}"


def redirect(address: str, to: str) -> None:
    """As a container engine's published ports do."""
    target = nft._expression("immediate", nft._number(1, 1), nft._data(2, socket.inet_aton(to)))
    redirected = nft._expression("nat", nft._number(1, 1), nft._number(2, 2), nft._number(3, 1))
    with Netlink(NETFILTER) as rules:
        rules.transact(
            *nft.transaction(
                nft.table("engine"),
                nft.chain("engine", "published", nft.PREROUTING, -100, "nat"),
                nft.rule("engine", "published", nft.to_network(IPv4Network(address)), target + redirected),
            )
        )


async def test_the_hosts_own_redirections_lead_neither_from_it_nor_to_metadata(tmp_path: Path) -> None:
    redirect(HOST, to=INTERNET)
    redirect(ELSEWHERE, to=METADATA)
    async with opened(tmp_path, replace(NAT, allow_host=True)) as isolation:
        sandbox = await networked(isolation)
        # It does redirect, for those that may reach the host.
        assert await said(sandbox, CONNECT, HOST) == f"hello {HOST}"
        assert await said(sandbox, CONNECT, ELSEWHERE) == "refused"
    async with opened(tmp_path) as isolation:
        assert await said(await networked(isolation), CONNECT, HOST) == "refused"


async def test_a_range_that_is_in_use_is_refused_when_nat_is_asked_for_by_name(tmp_path: Path) -> None:
    isolation = open_kind(
        "namespaces", run_directory=tmp_path, owner=OWNER, network=replace(NAT, range="203.0.112.0/20")
    )
    before = network_lab.everything()
    with pytest.raises(OperatorError) as refused:
        await isolation.open()
    assert refused.value.what == (
        "functions cannot have a way out: everything in 203.0.112.0/20 is in use; set network_range."
    )
    assert network_lab.everything() == before


def tables() -> list[str]:
    with Netlink(NETFILTER) as rules:
        return [name for name in nft.tables(rules) if name.startswith("pasture_")]


def launcher_pid() -> int:
    """The Internet is the other child."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return next(int(pid) for pid in children if b"launcher" in Path(f"/proc/{pid}/cmdline").read_bytes())


def serve_and_be_killed(directory: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    server = subprocess.Popen(
        [sys.executable, __file__, str(directory), OWNER], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "serving\n"
    server.kill()
    server.communicate()


async def _serve(directory: Path, owner: str) -> None:
    async with opened(directory, owner=owner) as isolation:
        await networked(isolation)
        print("serving", flush=True)  # noqa: T201  to the test
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
