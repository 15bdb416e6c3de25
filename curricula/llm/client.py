"""Asks a language model lists of questions and says of every answer whether it can be used."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...envs.errors import OptionError, short
from .cache import Cache, Row
from .config import Config
from .counters import Usage
from .credentials import mask
from .errors import ServerError
from .exchange import Exchange
from .extraction import extract
from .ladder import Ladder
from .limits import Timing
from .schema import check_schema, violations
from .transport import Answer, Session

_ROLES = ("system", "user", "assistant")
_SHOWN = 10  # errors sent back for the repair
_LETTERS = 300  # of each


@dataclasses.dataclass(frozen=True)
class Request:
    """One question.

    Attributes:
      messages: of the chat so far, each with "role" and "content".
      schema: JSON schema of the answer (the words are listed in `schema.py`); None asks for plain text.
      check: sentences about what is wrong with a value that fits the schema, or with the text where there is no
        schema; they are sent back to the model, so they should be of use to it.
      template: version of the prompt; another version is another question.
    """

    messages: Sequence[Mapping[str, str]]
    schema: Mapping[str, Any] | None = None
    check: Callable[[Any], list[str]] | None = None
    template: str = ""

    def __post_init__(self) -> None:
        if not self.messages:
            raise OptionError("question to a model: messages; got none; expected at least one", key="messages")
        for message in self.messages:
            if (
                not isinstance(message, Mapping)
                or set(message) != {"role", "content"}
                or message["role"] not in _ROLES
                or not isinstance(message["content"], str)
            ):
                raise OptionError(
                    f"question to a model: messages; got {short(message)}; expected a role of {_ROLES} and a content",
                    key="messages",
                )
        if self.schema is not None:
            check_schema(self.schema)


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer; after a repair, the sums of both rounds.

    Attributes:
      value: the parsed JSON, also where `errors` speak of it; None where there is none.
      text: what the model wrote.
      errors: what is wrong with it; none for a valid answer.
      attempts: tries that the server needed when it was asked.
      latency: of the answers when they were asked for [s].
      tokens_in: prompt tokens when it was asked.
      tokens_out: answer tokens when it was asked.
      from_cache: whether no request was sent for it.
      repaired: whether it is valid only by the second round.
      finish_reason: the server's word for why the answer ended; "length" is a cut one.
    """

    value: Any
    text: str
    errors: tuple[str, ...]
    attempts: int
    latency: float
    tokens_in: int
    tokens_out: int
    from_cache: bool
    repaired: bool
    finish_reason: str


class Client:
    """Asks one model on one OpenAI-compatible server.

    Every answer is stored as it comes, so a call that failed or was interrupted goes on where it stopped when it is
    made again. A question asked twice, also within one call, is sent once. Calls from several threads take turns.

    Example:
      >>> from palaestra.curricula.llm import Client, Config, Request
      >>> client = Client(Config(base_url="http://127.0.0.1:8080/v1", model="any"))
      >>> client.usage().requests
      0
      >>> client.close()
    """

    def __init__(self, config: Config, timing: Timing = Timing()) -> None:
        """Opens the cache and nothing else.

        Args:
          config: server, model and limits.
          timing: clocks and chance; only tests replace them.

        Raises:
          CacheError: if the cache cannot be opened.
        """
        self.config = config
        self._exchange = Exchange(config, timing)

    @property
    def cache(self) -> Cache:
        """The answers, for export and import."""
        return self._exchange.cache

    def usage(self) -> Usage:
        """What this client has used since it was made."""
        return self._exchange.counters.usage()

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Answers, in the order of the questions.

        An answer that is not valid is sent back once with what is wrong. If the second is not valid either, its reply
        says so in `errors`, which is no exception: what to do with it is the caller's decision.

        Raises:
          ServerError: if a question got no answer; those answered before are in the cache.
          SpentError: before the first request that would begin after the budget is spent.
          OfflineError: if `offline` is set and an answer is not in the cache.
          CredentialError: if the variable that should hold the API key is empty.
          CacheError: if the cache cannot be read or written.
          MissingExtraError: if httpx is not installed.
        """
        requests = list(requests)

        def make(session: Session) -> list[Any]:
            ladder = Ladder(self.cache, self.config)
            return [self._reply(session, ladder, request) for request in requests]

        with self._exchange.turn:
            replies = self._exchange.gather(make)
            self._exchange.counters.repaired += sum(reply.repaired for reply in replies)
            self._exchange.counters.invalid += sum(bool(reply.errors) for reply in replies)
        return replies

    def close(self) -> None:
        """Closes the cache."""
        self.cache.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def _reply(self, session: Session, ladder: Ladder, request: Request) -> Reply:
        messages = [dict(message) for message in request.messages]
        row, cached = await self._complete(session, ladder, request, messages)
        first = self._judged(request, row, cached)
        if not first.errors:
            return first
        faults = "\n".join(f"- {_line(error)}" for error in first.errors[:_SHOWN])
        messages += [
            {"role": "assistant", "content": first.text},
            {
                "role": "user",
                "content": f"This answer is not valid:\n{faults}\nGive the corrected answer, nothing else.",
            },
        ]
        row, cached = await self._complete(session, ladder, request, messages)
        second = self._judged(request, row, cached)
        better = first if second.errors and second.value is None and first.value is not None else second
        return dataclasses.replace(
            better,
            attempts=first.attempts + second.attempts,
            latency=first.latency + second.latency,
            tokens_in=first.tokens_in + second.tokens_in,
            tokens_out=first.tokens_out + second.tokens_out,
            from_cache=first.from_cache and second.from_cache,
            repaired=not second.errors,
        )

    async def _complete(
        self, session: Session, ladder: Ladder, request: Request, messages: list[dict[str, str]]
    ) -> tuple[Row, bool]:
        config = self.config
        sampling: dict[str, Any] = {"temperature": config.temperature, "max_tokens": config.max_tokens}
        if config.seed is not None:
            sampling["seed"] = config.seed
        asked = {
            "template": request.template,
            "model": config.model,
            "messages": messages,
            "sampling": sampling,
            "schema": request.schema,
        }

        async def post(payload: Mapping[str, Any]) -> Answer:
            length = sum(len(message["content"]) for message in payload["messages"])
            answer = await session.post("/chat/completions", payload, expected=(length // 4 + 1, config.max_tokens))
            content_of(answer.data)  # so that the ladder does not take an error inside a status 200 for an answer
            return answer

        async def send() -> Answer:
            payload = {"model": config.model, "messages": messages, **sampling}
            return await ladder.send(payload, request.schema, post)

        def status(data: Mapping[str, Any]) -> str:
            return "invalid" if self._parsed(content_of(data)[0], request.schema)[1] else "ok"

        return await self._exchange.fetch(session, asked, send, status)

    def _parsed(self, text: str, schema: Mapping[str, Any] | None) -> tuple[Any, tuple[str, ...]]:
        """The value in a text, and how it does not fit the schema."""
        if schema is None:
            return None, ()
        value, errors = extract(text, schema)
        value = mask(value, self.config.api_key_env)  # inside the text's own JSON it may be written with escapes
        return value, errors or tuple(violations(value, schema))

    def _judged(self, request: Request, row: Row, cached: bool) -> Reply:
        text, finish = content_of(json.loads(row.response))
        value, errors = self._parsed(text, request.schema)
        if not errors and request.check is not None:
            errors = tuple(request.check(text if request.schema is None else value))
        if errors and finish == "length":
            errors = (f"the answer was cut off after {self.config.max_tokens} tokens", *errors)
        return Reply(
            value=value,
            text=text,
            errors=errors,
            attempts=row.attempts,
            latency=row.latency_ms / 1e3,
            tokens_in=row.prompt_tokens,
            tokens_out=row.completion_tokens,
            from_cache=cached,
            repaired=False,
            finish_reason=finish,
        )


def _line(sentence: str) -> str:
    """A sentence about an answer, on one line and short enough to send."""
    return " ".join(sentence.split())[:_LETTERS]


def content_of(data: Mapping[str, Any]) -> tuple[str, str]:
    """Text and finish reason of a chat completion; an answer without text gives an empty one."""
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise ServerError(f"model server: answer to a chat; got {short(data)}; expected choices[0].message")
    content = message.get("content")
    if isinstance(content, list):  # of parts, as some servers have it
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return str(content or ""), str(choice.get("finish_reason") or "")
