"""What can go wrong between a client and a model server. No message ever holds a credential."""

from ...envs.errors import PalaestraError


class LLMError(PalaestraError):
    """Base of the errors below: by default, a service that gave no answer."""

    code = 8


class ServerError(LLMError):
    """The server refused a request, or gave no usable answer in all tries.

    Attributes:
      status: HTTP status of the last answer; None where there was none.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str = "", key: str | None = None):
        super().__init__(message, hint=hint, key=key)
        self.status = status


class CredentialError(LLMError):
    """The environment variable that should hold the API key is empty or cannot be sent."""

    code = 2


class OfflineError(LLMError):
    """An answer is not in the cache, and the network is forbidden."""


class SpentError(LLMError):
    """The budget is spent; the request that would have come next was not sent."""


class CacheError(LLMError):
    """A cache file that cannot be read or written, or lines that do not belong in one."""

    code = 4
