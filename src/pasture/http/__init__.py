"""An HTTP/1.1 toolbox: parsing is llhttp's (httptools), the rest is lean. Knows no Lambda.

- `message`: `Request`, `Response`, `Headers`.
- `server`: the asyncio protocol that both the gateway and the Runtime API stand on.
"""
