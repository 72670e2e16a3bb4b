"""Two Ray nodes on the loopback that act as two machines, in a process of their own.

Prints the address. Then each line on stdin is an order: ``kill`` ends the second node, all its
processes at once; the end of stdin ends both.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}

from ray.cluster_utils import Cluster

MEMORY = 100_000_000


def agent_ports() -> dict[str, int]:
    """Fixed ports for a node's agents: a busy machine starts them later than Ray would wait."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
             "runtime_env_agent_port")  # fmt: skip
    sockets = [socket.socket() for _ in names]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return dict(zip(names, ports, strict=True))


def main() -> None:
    cluster: Any = Cluster()
    options = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster.add_node(wait=False, **options, **agent_ports())
    second = cluster.add_node(wait=False, **options, **agent_ports())
    print(cluster.address, flush=True)  # noqa: T201
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(second, allow_graceful=False)
            print("killed", flush=True)  # noqa: T201
    cluster.shutdown()


if __name__ == "__main__":
    main()
