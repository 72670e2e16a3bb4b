"""A typed client of the service, for threads (:class:`Client`) and asyncio (:class:`AsyncClient`).

::

    with Client("http://127.0.0.1:8000") as client:
        result = client.predict("photo.jpg")[0]
        print([face.emotion for face in result.faces])

Needs httpx: ``pip install "mien[client]"``.
"""

from mien.client.clients import AsyncClient, Client
from mien.client.patience import ServiceError

__all__ = ["AsyncClient", "Client", "ServiceError"]
