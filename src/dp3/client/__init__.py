"""The public client for primary modules: send data-points, read profiles.

Needs nothing but the standard library and imports nothing else of this package, so that a primary module
can run far away from the platform.

>>> from dp3.client import Client
>>> client = Client("http://127.0.0.1:5000")
>>> client.send([{"type": "host", "id": "web-1", "attr": "os", "v": "Debian"}])  # doctest: +SKIP
False
"""

from dp3.client.client import Client
from dp3.client.errors import ClientError, Refused, ServerError, Unavailable
from dp3.client.transport import Retry

__all__ = ["Client", "ClientError", "Refused", "Retry", "ServerError", "Unavailable"]
