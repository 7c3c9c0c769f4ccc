"""What looks secret is not told, and no code of the user's runs for the mirror."""

from __future__ import annotations

import pytest

from zmqkernel.kernel.mirror.secrets import is_secret_name, is_secret_text

from .mirrored import Mirrored

SECRET = "hunter2"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_password", "PASSWORD", "passwd", "pwd", "token", "access_token", "GITHUB_TOKEN", "authToken"),
        *("secret", "client_secret", "SecretKey", "api_key", "apiKey", "APIKEY", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID"),
        *("credentials", "private_key", "_passphrase", "cookie"),
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["tokens", "tokenizer", "n_tokens", "key", "keys", "author", "passenger", "secretary", "compass", "df", "x"]
)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----\nabc",
        "postgresql://me:hunter2@host/db",
        "ghp_" + "a" * 36,
        "sk-" + "a" * 40,
        "AKIA" + "A" * 16,
        "password=hunter2",
        "Authorization: Bearer abcdefghijklmnop",
    ],
)
def test_texts_that_give_themselves_away(text: str) -> None:
    assert is_secret_text(repr(text))


CELL = f"""
from collections import namedtuple
import functools
password = {SECRET!r}
api_key = ['{SECRET}']
config = {{'user': 'me', 'password': {SECRET!r}}}
config['db'] = {{'api_key': {SECRET!r}, b'token': {SECRET!r}, ('x', 'secret'): {SECRET!r}}}
rows = [{{'user': 1, 'passwd': {SECRET!r}}}]
class Login:
    __slots__ = ('user', 'pwd')
    def __init__(self): self.user, self.pwd = 'me', {SECRET!r}
    def again(self, user, password={SECRET!r}): ...
class Plain:
    token = {SECRET!r}
    def __init__(self): self.client_secret = {SECRET!r}; self.inner = Login()
login, plain = Login(), Plain()
Pair = namedtuple('Pair', 'user password')
pair = Pair('me', {SECRET!r})
def connect(user, password={SECRET!r}, *, key=1): ...
later = functools.partial(connect, password={SECRET!r})
url = 'https://me:{SECRET}@host/path'
texts = ['https://me:{SECRET}@host/path', 'x']
ordered = functools.OrderedDict() if hasattr(functools, 'OrderedDict') else dict(config)
class Bag(dict): ...
bag = Bag(password={SECRET!r}, user=1)
"""


def test_no_secret_is_told() -> None:
    bench = Mirrored()
    bench.run(CELL)
    assert all(SECRET.encode() not in chunk.body for chunk in bench.chunks)
    assert "password" not in bench.mirror
    assert "api_key" not in bench.mirror
    assert bench["config"].items["'password'"].hidden
    assert bench["config"].items["'user'"].value == "'me'"
    assert bench["plain"].attributes["client_secret"].hidden
    assert bench["login"].attributes["user"].value == "'me'"
    assert bench["connect"].signature == "(user, password, *, key=1)"


def test_a_function_may_be_called_like_a_secret() -> None:
    bench = Mirrored()
    bench.run("import secrets\ndef get_token(): 'Asks.'\nclass Token: ...")
    assert set(bench.mirror.names()) == {"secrets", "get_token", "Token"}


TRAPS = """
ran = []
class Meta(type):
    def __getattribute__(cls, name): ran.append(('meta', name)); return super().__getattribute__(name)
    def __instancecheck__(cls, one): ran.append('instancecheck'); return True
    def __len__(cls): ran.append('len'); return 0
class Trap(metaclass=Meta):
    def __init__(self): object.__setattr__(self, 'plain', 1)
    def __getattribute__(self, name): ran.append(name); return object.__getattribute__(self, name)
    def __getattr__(self, name): ran.append(name); raise AttributeError(name)
    def __dir__(self): ran.append('dir'); return []
    def __repr__(self): ran.append('repr'); return 'x'
    __str__ = __repr__
    def __eq__(self, other): ran.append('eq'); return True
    def __hash__(self): ran.append('hash'); return 1
    def __len__(self): ran.append('len'); return 3
    def __bool__(self): ran.append('bool'); return True
    def __iter__(self): ran.append('iter'); return iter(())
    def __getitem__(self, key): ran.append('getitem'); return key
    def __reduce_ex__(self, n): ran.append('reduce')
    def __sizeof__(self): ran.append('sizeof'); return 1
    def __format__(self, spec): ran.append('format'); return ''
    __class__ = property(lambda self: ran.append('class') or int)
    p = property(lambda self: ran.append('p'))
class Liar:
    __dict__ = property(lambda self: ran.append('dict'))
class MyDict(dict):
    def items(self): ran.append('items'); return []
    def __iter__(self): ran.append('iter'); return iter(())
    def __len__(self): ran.append('len'); return 0
    def __getitem__(self, key): ran.append('getitem')
    def keys(self): ran.append('keys'); return []
class MyList(list):
    def __getitem__(self, at): ran.append('getitem')
    def __len__(self): ran.append('len'); return 0
    def __iter__(self): ran.append('iter'); return iter(())
class MyStr(str):
    def __eq__(self, other): ran.append('eq'); return True
    __hash__ = str.__hash__
    def __repr__(self): ran.append('repr'); return ''
    def __len__(self): ran.append('len'); return 0
class MyInt(int):
    def __repr__(self): ran.append('repr'); return ''
    def bit_length(self): ran.append('bits'); return 0
trap, liar = Trap(), Liar()
texts = {MyStr('k'): MyStr('v'), 'n': MyInt(3)}
text, number = MyStr('abc'), MyInt(4)
stored, listed = MyDict(a=1), MyList([1, 2])
inside = [trap, {'t': trap}, (trap,)]; keyed = {trap: 1, 'x': trap}; several = {trap}
del ran[:]
"""


def test_no_code_of_the_users_runs() -> None:
    bench = Mirrored()
    bench.run(TRAPS)
    for change in (
        "inside.append(trap)",
        "keyed['y'] = trap; del ran[:]",
        "texts['z'] = number; del ran[:]",
        "stored.pop",
    ):
        bench.run(change)
        bench.look(full=True)
    # Code that is executed by exec() above runs hooks as well, and cleans up after itself.
    assert bench.names["ran"] == []
    assert bench["trap"].attributes["plain"].value == "1"
    assert list(bench["stored"].items) == ["'a'"]
    assert bench["listed"].length == 2
    assert bench["inside"].length == 4
