"""A name that is unique to a process and was made before the fork is found; data is not, nor what is gone."""

from __future__ import annotations

import logging
import multiprocessing.shared_memory  # noqa: F401
import os
import pickle
import random
import secrets
import socket
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from pytest_procpar.start_method.names import living_names, whole_heap
from pytest_procpar.start_method.names.held_values import held_values
from pytest_procpar.start_method.project.files import ProjectFiles
from pytest_procpar.system.calls import getpid
from tests.process.projects import Project

pytestmark = pytest.mark.python_dependent

#: Code of a module that makes a name, and the call that is to blame.
NAMES = {
    "mkdtemp": ("import tempfile\nD = tempfile.mkdtemp()", "tempfile.mkdtemp()"),
    "mkdtemp, by name": ("from tempfile import mkdtemp\nd = mkdtemp()", "tempfile.mkdtemp()"),
    "mkdtemp, bytes": ("import tempfile\nD = tempfile.mkdtemp(prefix=b'x')", "tempfile.mkdtemp()"),
    "mkdtemp, nobody holds it": ("import os, tempfile\nos.listdir(tempfile.mkdtemp())", "tempfile.mkdtemp()"),
    "mkdtemp, a function": (
        "import functools, tempfile\n@functools.lru_cache\ndef f(): return tempfile.mkdtemp()\nf()",
        "tempfile.mkdtemp()",
    ),
    "mkstemp": ("import os, tempfile\nfd, P = tempfile.mkstemp()\nos.close(fd)", "tempfile.mkstemp()"),
    "a candidate": (
        "import tempfile\ndir = None\nq = 'q_' + next(tempfile._get_candidate_names())",
        "tempfile._get_candidate_names()",
    ),
    "beside what nobody can look into": (
        "import uuid\nclass Odd(list):\n  def __iter__(self): raise OSError\n"
        "class Text(str):\n  def __len__(self): raise OSError\n"
        "odd, text, name = Odd([1]), Text(), uuid.uuid4().hex",
        "uuid.uuid4()",
    ),
    "mktemp": ("import tempfile\np = tempfile.mktemp('.db')", "tempfile.mktemp()"),
    "named": (
        "import tempfile\nN = tempfile.NamedTemporaryFile(delete=False)\nN.close()",
        "tempfile.NamedTemporaryFile()",
    ),
    "named, closed": (
        "import tempfile\nwith tempfile.NamedTemporaryFile() as f: DB = f.name",
        "tempfile.NamedTemporaryFile()",
    ),
    "folder": ("import tempfile\nD = tempfile.TemporaryDirectory()", "tempfile.TemporaryDirectory()"),
    "uuid4": ("import uuid\nNAME = f'it-{uuid.uuid4().hex}'", "uuid.uuid4()"),
    "uuid4, by name": ("from uuid import uuid4\nFAKE_ID = uuid4()", "uuid.uuid4()"),
    "uuid4, its beginning": ("from uuid import uuid4\nq = 'q_' + uuid4().hex[:6]", "uuid.uuid4()"),
    "uuid4, three digits": (
        "from uuid import uuid4\nclass Tests:\n    table = 't' + uuid4().hex[:3]",
        "uuid.uuid4()",
    ),
    "pid, of a process": (
        "import multiprocessing\nNAME = f'db_{multiprocessing.current_process().pid}'",
        "os.getpid()",
    ),
    "a fraction": ("import random\nNAME = f'db_{random.random()}'", "random.random()"),
    "uuid4, glued": ("from uuid import uuid4\nq = 'db' + str(uuid4())[:8].upper()", "uuid.uuid4()"),
    "uuid4, its end": ("from uuid import uuid4\nq = f'q{uuid4().hex[-8:]}'", "uuid.uuid4()"),
    "uuid4, a number": ("from uuid import uuid4\nq = f'q{uuid4().int}'", "uuid.uuid4()"),
    "uuid1": ("import uuid\nNAME = str(uuid.uuid1())", "uuid.uuid1()"),
    "uuid4, a path": (
        "import pathlib, tempfile, uuid\nP = pathlib.Path(tempfile.gettempdir(), str(uuid.uuid4()))",
        "uuid.uuid4()",
    ),
    "uuid4, the environment": (
        "import os, uuid\nos.environ['PROCPAR_TRIED'] = f'db_{uuid.uuid4().hex}'",
        "uuid.uuid4()",
    ),
    "uuid4, a class": ("import uuid\nclass Settings:\n    db = f'db_{uuid.uuid4()}'", "uuid.uuid4()"),
    "uuid4, an object": (
        "import uuid\nclass App:\n    def __init__(self): self.run = uuid.uuid4()\napp = App()",
        "uuid.uuid4()",
    ),
    "uuid4, slots": (
        "import uuid\nclass App:\n    __slots__ = ('run',)\napp = App()\napp.run = uuid.uuid4()",
        "uuid.uuid4()",
    ),
    "uuid4, a dictionary": ("import uuid\nC = {'db': {'name': f'd{uuid.uuid4()}'}}", "uuid.uuid4()"),
    "uuid4, a default": ("import uuid\ndef connect(db=uuid.uuid4().hex): pass", "uuid.uuid4()"),
    "uuid4, enclosed": (
        "import uuid\ndef f():\n    n = uuid.uuid4().hex\n    return lambda: n\ng = f()",
        "uuid.uuid4()",
    ),
    "uuid4, a partial": (
        "import functools, uuid\nopener = functools.partial(open, f'{uuid.uuid4()}.log')",
        "uuid.uuid4()",
    ),
    "uuid4, a cache": (
        "import functools, uuid\n@functools.lru_cache(maxsize=9)\ndef db(): return uuid.uuid4().hex\ndb()",
        "uuid.uuid4()",
    ),
    "uuid4, a cache without end": (
        "import functools, uuid\n@functools.cache\ndef db(): return uuid.uuid4().hex\ndb()",
        "uuid.uuid4()",
    ),
    "uuid4, a factory": (
        "import dataclasses, uuid\n@dataclasses.dataclass\nclass C:\n"
        "    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)\nc = C()",
        "uuid.uuid4()",
    ),
    "uuid4, a bare factory": (
        "import dataclasses, uuid\n@dataclasses.dataclass\nclass C:\n"
        "    id: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)\nc = C()",
        "uuid.uuid4()",
    ),
    "pid, a path": (
        "import os, pathlib, tempfile\nP = pathlib.Path(tempfile.gettempdir()) / f'x-{os.getpid()}'",
        "os.getpid()",
    ),
    "pid, by name": ("from os import getpid\nNAME = 'q%d' % getpid()", "os.getpid()"),
    "pid, the environment": (
        "import os\nos.environ['PROCPAR_TRIED'] = str(os.getpid())",
        "os.getpid()",
    ),
    "pid, a port": ("import os\nPORT = 20000 + os.getpid() % 20000", "os.getpid()"),
    "pid, hashed": (
        "import hashlib, os\nDB = 'db_' + hashlib.md5(str(os.getpid()).encode()).hexdigest()",
        "os.getpid()",
    ),
    "pid, hashed with more": (
        "import hashlib, os, socket\ndef run_id():\n    h = hashlib.sha1()\n"
        "    h.update(f'{socket.gethostname()}:{os.getpid()}'.encode())\n    return h.hexdigest()[:8]\n"
        "class App:\n    def __init__(self): self.queue = 'q-' + run_id()\napp = App()",
        "os.getpid()",
    ),
    "pid, hashed in a variable": (
        "import os\nH = hash((os.getpid(), 'x'))\nif H:\n    DB = f'db{H}'",
        "os.getpid()",
    ),
    "pid, in other digits": ("import os\nQ = hex(os.getpid() + 4096)", "os.getpid()"),
    "pid, in few other digits": ("import os\nq = f'qz{os.getpid():x}'", "os.getpid()"),
    "pid, the end": ("import os\nDB = f'db{1000 + os.getpid() % 1000}'", "os.getpid()"),
    "pid, hashed, the environment": (
        "import os, zlib\nos.environ['PROCPAR_TRIED'] = f'q{zlib.crc32(b\"x%d\" % os.getpid()):08d}'",
        "os.getpid()",
    ),
    "pid, hashed, a global": (
        "import hashlib, os\nDB = None\ndef setup():\n    global DB\n"
        "    DB = hashlib.md5(str(os.getpid()).encode()).hexdigest()\nsetup()",
        "os.getpid()",
    ),
    "uuid4, in base 64": (
        "import base64, uuid\nB = base64.b32encode(uuid.uuid4().bytes)[:12].decode()",
        "uuid.uuid4()",
    ),
    "uuid4, a uuid of it": (
        "import uuid\nN = uuid.uuid5(uuid.NAMESPACE_DNS, uuid.uuid4().hex)",
        "uuid.uuid4()",
    ),
    "urandom, hashed": (
        "import hashlib, os\nNAME = hashlib.sha256(os.urandom(16)).hexdigest()[:10]",
        "os.urandom()",
    ),
    "randint, hashed": (
        "import hashlib, random\nNAME = hashlib.md5(b'%d' % random.randint(1, 10**9)).hexdigest()",
        "random.randint()",
    ),
    "token_hex": ("import secrets\nSCHEMA = f's_{secrets.token_hex(4)}'", "secrets.token_hex()"),
    "token_hex, by name": ("from secrets import token_hex\ns = token_hex(2)", "secrets.token_hex()"),
    "token_urlsafe": ("import secrets\nBUCKET = secrets.token_urlsafe(8)", "secrets.token_urlsafe()"),
    "randbelow": ("import secrets\nB = f'b{secrets.randbelow(10**6) + 0}'", "secrets.randbelow()"),
    "secrets.choice": (
        "import secrets, string\nB = ''.join(secrets.choice(string.ascii_letters) for _ in range(9))",
        "random.SystemRandom().choice()",
    ),
    "urandom": ("import os\nNAME = os.urandom(8).hex()", "os.urandom()"),
    "urandom, by name": ("from os import urandom\nNAME = urandom(8).hex()", "os.urandom()"),
    "SystemRandom": (
        "import random, string\nN = ''.join(random.SystemRandom().choices(string.ascii_letters, k=9))",
        "random.SystemRandom().choices()",
    ),
    "randint, a port": ("import random\nPORT = random.randint(20000, 60000)", "random.randint()"),
    "randint, a port that is worked out": (
        "import random\nserver_port = 20000 + random.randint(1, 9) * 100",
        "random.randint()",
    ),
    "randint, by name": (
        "from random import randint\nURL = f'http://x:{randint(2000, 9999)}/'",
        "random.randint()",
    ),
    "randrange": ("import random\nDB = f'test_{random.randrange(10**4, 10**9)}'", "random.randrange()"),
    "getrandbits": ("import random\nDB = f'test_{random.getrandbits(64)}'", "random.getrandbits()"),
    "choices": (
        "import random, string\nDB = 'test' + ''.join(random.choices(string.ascii_lowercase, k=8))",
        "random.choices()",
    ),
    "sample": ("import random, string\nDB = ''.join(random.sample(string.digits, 9))", "random.sample()"),
    "choice, in a loop": (
        "import random, string\nDB = 'db_' + ''.join(random.choice(string.ascii_letters) for _ in range(7))",
        "random.choice()",
    ),
    "an own generator": (
        "import random\nrng = random.Random()\nDB = f'db{rng.randint(10**4, 10**9)}'",
        "random.Random().randint()",
    ),
    "a generator that was seeded by the time": (
        "import random, time\nrandom.seed(time.time())\nDB = f'db{random.randint(10**4, 10**9)}'",
        "random.randint()",
    ),
    "a free port": (
        "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n    P = s.getsockname()[1]",
        "socket.bind() to port 0",
    ),
    "a free port, from a function": (
        "import socket\ndef free():\n    s = socket.create_server(('127.0.0.1', 0))\n    with s:\n"
        "        return s.getsockname()[1]\nURL = f'http://127.0.0.1:{free()}/'",
        "socket.bind() to port 0",
    ),
    "a free port of a server": (
        "import socketserver\nwith socketserver.TCPServer(('127.0.0.1', 0), None) as s:\n"
        "    C = {'port': s.server_address[1]}",
        "socket.bind() to port 0",
    ),
    "a free port of an address": (
        "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n"
        "    ADDRESS = ('127.0.0.1', s.getsockname()[1])",
        "socket.bind() to port 0",
    ),
    "a free port among arguments": (
        "import functools, socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n"
        "    listen = functools.partial(print, ('127.0.0.1', s.getsockname()[1]))",
        "socket.bind() to port 0",
    ),
    "a free port of a node": (
        "import collections, socket\nNode = collections.namedtuple('Node', 'name port')\n"
        "with socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n"
        "    NODES = [Node('a', s.getsockname()[1])]",
        "socket.bind() to port 0",
    ),
    "shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\nM = SharedMemory(create=True, size=9)\n"
        "M.close()\nM.unlink()",
        "multiprocessing.shared_memory.SharedMemory()",
    ),
}

#: Code of a module that makes no name, or none that is in use.
NO_NAMES = {
    "a folder that is gone": ("import tempfile\nwith tempfile.TemporaryDirectory() as folder: pass"),
    "a file that is gone": "import os, tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')",
    "the folder of all": "import tempfile\nD = tempfile.gettempdir()\nP = tempfile.gettempprefix()",
    "a uuid that is given": "import uuid\nI = uuid.UUID('12345678123456781234567812345678')",
    "a uuid of a name": "import uuid\nI = uuid.uuid5(uuid.NAMESPACE_DNS, 'example.org')",
    "a uuid that is gone": "import re, uuid\nassert re.match('[0-9a-f]', uuid.uuid4().hex)",
    "a uuid among parameters": "import uuid\nCASES = [uuid.uuid4(), 7, 'x']",
    "a uuid of a mark": (
        "import pytest, uuid\n@pytest.mark.parametrize('v', [uuid.uuid4(), 5])\ndef test(v): pass"
    ),
    "a credential": "import secrets\nSECRET_KEY = secrets.token_urlsafe(32)\nPASSWORD = secrets.token_hex(9)",
    "a credential of a class": "import secrets\nclass S:\n    API_TOKEN = secrets.token_hex(16)",
    "a credential in the environment": (
        "import os, secrets\nos.environ['PROCPAR_TRIED_SECRET_KEY'] = secrets.token_hex(16)"
    ),
    "random bytes": "import os\nDATA = os.urandom(40)",
    "many random bytes": "import os\nDATA = os.urandom(4000).hex()",
    "random numbers": (
        "import random\nN = [random.randint(0, 10**6) for _ in range(9)]\nX = random.random()\n"
        "LIMIT = random.randint(2000, 9000)"
    ),
    "a word by chance": "import random\nCOLORS = ['green', 'orange']\nCOLOR = random.choice(COLORS)",
    "a long text by chance": (
        "import random, string\nTEXT = ''.join(random.choices(string.ascii_letters, k=500))"
    ),
    "a shuffled list": "import random\nL = list(range(99))\nrandom.shuffle(L)",
    "seeded": "import random\nrandom.seed(7)\nPORT = random.randint(20000, 60000)",
    "a seeded generator": ("import random\nrng = random.Random(7)\nNAME = f'db{rng.randint(10**5, 10**9)}'"),
    "a pid that is compared": "import os\nMAIN = os.getpid()\ndef is_main(): return os.getpid() == MAIN",
    "a pid beside a port": "import os\nassert os.getpid() > 0\nPORT = 8080\nPORTS = {'a_port': 80_81}",
    "a port from the environment": (
        "import os\nassert os.getpid() > 0\nPORT = int(os.environ['PROCPAR_GIVEN'])"
    ),
    "a hash of data": (
        "import hashlib, os, random\nDATA = os.urandom(999)\nNAME = hashlib.md5(DATA).hexdigest()\n"
        "key = os.urandom(16)\nSIGNATURE = hashlib.sha1(key).hexdigest()\n"
        "rows = [random.randint(1, 9) for _ in range(999)]\nTABLE = hashlib.md5(bytes(rows)).hexdigest()"
    ),
    "a text of the code": (
        "import os\nMAIN = os.getpid()\ndef role():\n"
        "    return 'main-3f2a9c1b' if os.getpid() == MAIN else 'c'\nROLE = role()"
    ),
    "a text that is the same in all": (
        "import os\nEXE = os.readlink(f'/proc/{os.getpid()}/exe')\nHOME = os.environ['PROCPAR_GIVEN']\n"
        "WHERE = (os.getpid(), HOME)[1]"
    ),
    "a hash of something else": (
        "import hashlib, os\nassert os.getpid()\nPID = os.getpid()\n"
        "COMMIT = hashlib.md5(b'x').hexdigest()\ndef f(commit=COMMIT): return PID, commit"
    ),
    "a uuid that is told": "import uuid\nprint(uuid.uuid4())",
    "a uuid in a cache": (
        "import fnmatch, re, urllib.parse, uuid\nNAME = uuid.uuid4().hex\nre.match(NAME, 'x')\n"
        "fnmatch.fnmatch('x', NAME)\nurllib.parse.urlsplit(f'http://{NAME}/')\ndel NAME"
    ),
    "a uuid in an error": (
        "import uuid\ntry:\n    raise KeyError(f'no {uuid.uuid4()}')\n"
        "except KeyError as error:\n    ERROR = error"
    ),
    "a uuid in garbage": (
        "import uuid\nclass Node: pass\nn = Node()\nn.me, n.names = n, (f'n{uuid.uuid4().hex}',)\ndel n"
    ),
    "a credential among options": (
        "import secrets, functools\ndef app(**options): return lambda: options\n"
        "APP = [app(secret_key=secrets.token_hex(32)), functools.partial(app, token=secrets.token_hex(8))]\n"
        "def connect(password=secrets.token_hex(9)): pass"
    ),
    "a log record": "import logging\nlogging.getLogger('x').warning('y')\nN = 'x'",
    "a process": "import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', ''], check=True)",
    "IPv6": "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\nHAS = True",
    "a port among many numbers": (
        "import socket\nwith socket.socket() as s:\n    s.bind(('127.0.0.1', 0))\n"
        "N = list(range(1024, 65536))"
    ),
    "a mail's boundary": (
        "from email.mime.multipart import MIMEMultipart\nM = MIMEMultipart()\nT = M.as_string()\n"
        "from email.utils import make_msgid\nI = make_msgid(domain='x')"
    ),
    "words of the code": (
        "import random\nN = [random.randint(100, 110) for _ in range(60)]\n"
        "T = ['room 100', 'room 101', 'room 102', 'room 105', 'room 107']"
    ),
}


#: Code that lets something hold a name that the quick search does not find, and that holder.
HELD = {
    "a default of a fixture": (
        "@pytest.fixture\ndef bucket(name=made()): return name",
        "tried_settings.bucket.name",
    ),
    "a variable that a fixture encloses": (
        "def queue(name):\n    @pytest.fixture\n    def fixture(): return name\n    return fixture\n"
        "orders = queue(made())",
        "tried_settings.queue.<locals>.fixture.name",
    ),
    "parameters of a fixture with ids": (
        "@pytest.fixture(params=[made()], ids=['a'])\ndef bucket(request): return request.param",
        "_pytest.fixtures.",
    ),
    "an argument of a mark": (
        "@pytest.mark.skipif(False, reason=made())\ndef test(): pass",
        "_pytest.mark.structures.Mark.kwargs",
    ),
    "a default of a data class": (
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass Conf:\n    name: str = made()",
        "tried_settings.Conf.",
    ),
    "a default of a static method": (
        "class Broker:\n    @staticmethod\n    def queue(name=made()): return name",
        "tried_settings.Broker.queue.name",
    ),
    "an attribute of a function": ("def f(): pass\nf.name = made()", "tried_settings.f.name"),
    "a view of a dictionary": ("V = types.MappingProxyType({'db': made()})", "tried_settings.V"),
    "a default of a context variable": (
        "V = contextvars.ContextVar('v', default=made())",
        "_contextvars.ContextVar",
    ),
    "a context": (
        "V = contextvars.copy_context()\nV.run(contextvars.ContextVar('v').set, made())",
        "a context variable",
    ),
    "the current context": ("V = contextvars.ContextVar('v')\nV.set(made())", "a context variable"),
    "a thread's own": ("V = threading.local()\nV.name = made()", "_thread._local.name"),
    "a generator that runs": (
        "def names():\n    run = made()\n    while True: yield run\nV = names()\nnext(V)",
        "tried_settings.names()",
    ),
    "a pattern": ("V = re.compile(made())", "re.Pattern"),
    "changeable bytes": ("V = bytearray(made().encode())", "tried_settings.V"),
    "a dictionary with weak keys": (
        "class Names:\n    all = weakref.WeakKeyDictionary()\nNames.all[Names] = made()",
        "weakref.WeakKeyDictionary.data",
    ),
    "a variable with underscores": ("__run__ = made()", "tried_settings.__run__"),
    "a variable of the standard library": ("textwrap.run_id = made()", "textwrap.run_id"),
    "a tuple of uuids": ("V = (uuid.uuid4(), uuid.uuid4())", "tried_settings.V"),
    "an object of a library": (
        "logging.getLogger('x').addHandler(logging.FileHandler(f'x-{uuid.uuid4()}.log', delay=True))",
        "logging.FileHandler.baseFilename",
    ),
}
HELD_BY = """
import contextvars, dataclasses, logging, pytest, re, textwrap, threading, types, uuid, weakref
def made(): return f"db-{uuid.uuid4().hex}"
"""


#: Code that makes a name of the time, and where that is said to be.
DATED = {
    "a dictionary": ("import time\nC = {\n  'db': f'test_{time.time_ns()}'}", "settings.py:3", "db"),
    "a class": (
        "import datetime\nclass C:\n  DB = datetime.datetime.now().strftime('t%Y%m%d%H%M%S%f')",
        "settings.py:3",
        "DB",
    ),
    "an object": (
        "from time import time_ns\nclass C:\n  def __init__(self): self.db = f't{time_ns()}'\nc = C()",
        "settings.py:3",
        "db",
    ),
    "of the day": (
        "import datetime\nDB = datetime.datetime.now().strftime('t%H%M%S%f')",
        "settings.py:2",
        "DB",
    ),
    "in hexadecimal digits": ("import time\nDB = 't_%x' % int(time.time() * 1e6)", "settings.py:2", "DB"),
}
NOT_DATED = {
    "a number": "import time\nT = {'at': str(time.time_ns()), 'now': time.time()}",
    "for people": "import datetime\nT = [str(datetime.datetime.now())]",
    "seconds": "import time\nT = {'db': time.strftime('db_%Y%m%d_%H%M%S'), 's': f'x{int(time.time())}'}",
}


@pytest.mark.parametrize("what", NAMES)
def test_a_name_is_found(project: Project, what: str) -> None:
    code, call = NAMES[what]
    reasons = project.reasons(code)
    assert [reason.partition(": ")[2] for reason in reasons] == [call]
    assert reasons[0].startswith("settings.py:")


@pytest.mark.parametrize("what", HELD)
def test_a_name_is_found_wherever_it_is_held(project: Project, what: str) -> None:
    code, holder = HELD[what]
    reasons = project.reasons(HELD_BY + code)
    textwrap.__dict__.pop("run_id", None)
    logging.getLogger("x").handlers.clear()
    assert len(reasons) == 1
    assert reasons[0].startswith("settings.py:")
    assert f" makes a name of its own: uuid.uuid4(), held by {holder}" in reasons[0]


@pytest.mark.parametrize("what", DATED)
def test_a_name_of_the_time_is_found(project: Project, what: str) -> None:
    code, place, name = DATED[what]
    assert project.reasons(code) == [f"{place} makes a name of its own of the time: {name}"]


@pytest.mark.parametrize("what", NOT_DATED)
def test_a_time_is_no_name(project: Project, what: str) -> None:
    assert project.reasons(NOT_DATED[what]) == []


@pytest.mark.parametrize("what", NO_NAMES)
def test_data_and_what_is_gone_is_no_name(project: Project, what: str) -> None:
    assert project.reasons(NO_NAMES[what]) == []


# --- whose call it is ---


LIBRARY = """
import os, random, secrets, tempfile, uuid
def make(): return uuid.uuid4().hex, tempfile.mkdtemp()
class Client:
    def __init__(self): self.id, self.folder = make()
def draw(): return random.randint(10**6, 10**9), os.getpid(), secrets.token_hex(8)
N = make()
"""


def make_library(project: Project, folder: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    library = project.root / folder / "library.py"
    library.parent.mkdir(parents=True)
    library.write_text(LIBRARY)
    monkeypatch.syspath_prepend(library.parent)
    project.modules.append("library")
    return library


#: What a project does with a library, and how many names it has by it.
USES = {
    "NAME, FOLDER = library.make()": 2,
    "name = library.make()[0]": 1,
    "class App:\n    def __init__(self): self.run = library.make()[1]\napp = App()": 1,
    "client = library.Client()": 0,
    "library.make()": 0,
    "BUCKET = 'b-%d-%d-%s' % library.draw()": 0,
    "": 0,
}


@pytest.mark.parametrize("folder", ["lib/python3.13/site-packages/x", "venv/lib/dist-packages/y"])
@pytest.mark.parametrize("use", USES)
def test_what_libraries_make_counts_if_the_project_asks_for_it_and_holds_it(
    project: Project, folder: str, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_library(project, folder, monkeypatch)
    reasons = project.reasons(f"import library\n{use}")
    assert len(reasons) == USES[use]
    assert all(reason.endswith(" makes a name of its own: library.make()") for reason in reasons)


@pytest.mark.parametrize("folder", ["../elsewhere", "_pytest"])
def test_calls_of_others_do_not_count(project: Project, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = make_library(project, folder, monkeypatch)
    if folder == "_pytest":
        library.with_name("__init__.py").touch()
        library.write_text(library.read_text() + "__name__ = '_pytest.x'\n")
        library.write_text("__name__ = '_pytest.x'\n" + library.read_text())
    assert project.reasons("import library\nNAME, FOLDER = library.make()") == []


def test_a_virtual_environment_in_the_project_is_no_part_of_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(project.root / "env"))
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex", "env/lib/tool.py") == []
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex", "tests/tool.py") != []


def test_a_project_may_be_in_the_interpreters_own_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(project.root.parent))
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex") != []


def test_a_folder_of_the_python_path_is_part_of_the_project(project: Project) -> None:
    code = "import uuid\nQUEUE = f'app-{uuid.uuid4().hex}'"
    assert project.reasons(code, "../src/app.py") == []
    project.config.python_path = [project.root.parent / "src"]
    assert len(project.reasons(code, "../src/app.py")) == 1
    assert project.reasons(code, "../elsewhere/app.py") == []


def test_the_repository_is_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import uuid\nQUEUE = f'app-{uuid.uuid4().hex}'"
    repository = project.root.parent
    (repository / ".git").mkdir()
    assert len(project.reasons(code, "../src/app.py")) == 1
    monkeypatch.setenv("HOME", str(repository))
    assert project.reasons(code, "../src/app.py") == []


def test_a_project_is_found_by_a_link_to_it(project: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    project.root = tmp_path / "link"
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex") != []


def test_code_without_a_file_is_nobodys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    names = project.names()
    names.begin()
    frozen = {"__name__": "frozen", "uuid": uuid}
    exec(compile("NAME = uuid.uuid4().hex", "<frozen importlib._bootstrap>", "exec"), frozen)
    names.end()
    assert list(names.findings()) == []


def test_a_helper_makes_a_name_that_its_caller_holds(project: Project) -> None:
    project.load("import uuid\ndef unique(word): return f'{word}_{uuid.uuid4().hex[:8]}'", "helper.py")
    reasons = project.reasons("from tried_helper import unique\nNAME = unique('db')", "tests/conftest.py")
    assert reasons == ["helper.py:2 makes a name of its own: uuid.uuid4()"]


def test_a_helper_makes_a_name_for_each_that_asks(project: Project) -> None:
    project.load("import uuid\ndef make(): return uuid.uuid4().hex", "helper.py")
    names = project.names()
    names.begin()
    project.load("import tried_helper\ntried_helper.make()", "first.py")
    project.load("import tried_helper\nNAME = tried_helper.make()", "second.py")
    names.end()
    assert list(names.findings()) == ["helper.py:2 makes a name of its own: uuid.uuid4()"]


@pytest.mark.parametrize("code", ["FOLDER = {folder}", "db = str({folder} / 'db')", "{folder}.rmdir()"])
def test_a_folder_of_pytests_is_found(
    project: Project, code: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "given", cast("ModuleType", SimpleNamespace(factory=tmp_path_factory)))
    reasons = project.reasons("import given\n" + code.format(folder="given.factory.mktemp('x')"))
    found = "settings.py:2 makes a name of its own: tmp_path_factory.mktemp()"
    assert reasons == ([] if "rmdir" in code else [found])


def test_ids_count_that_hold_what_was_worked_out(project: Project) -> None:
    names = project.names()
    names.begin()
    module = project.load(
        "import hashlib, uuid\nIDS = [hashlib.md5(uuid.uuid4().bytes).hexdigest() for _ in range(3)]"
    )
    names.end()
    assert len(list(names.findings())) == 1
    project.ids = [f"test_it.py::test[{module.IDS[1]}]"]
    assert list(names.findings()) == []


def test_a_name_that_is_put_into_another_module_is_found(project: Project) -> None:
    project.load("DB = 'db'", "settings.py")
    reasons = project.reasons(
        "import tried_settings, uuid\ntried_settings.DB += uuid.uuid4().hex", "conftest.py"
    )
    assert reasons == ["conftest.py:2 makes a name of its own: uuid.uuid4()"]


@pytest.mark.parametrize("place", ["names", "settings.py"])
def test_what_is_vouched_for_does_not_count(project: Project, place: str) -> None:
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex", "settings.py", place) == []
    assert project.reasons("import uuid\nNAME = uuid.uuid4().hex", "settings.py", "other.py") != []


# --- where a name may be held ---


@pytest.mark.parametrize(
    "where",
    [
        "config.run_id = name",
        "config.stash[KEY] = name",
        "config.option.run_id = name",
        "config.pluginmanager.register(Plugin(name))",
        "pytest.run_id = name",
        "config.pluginmanager.getplugin('session').run_id = name",
        "os.environ['PROCPAR_TRIED'] = name",
        "os.mkdir(name), os.chdir(name)",
    ],
)
def test_a_name_that_a_hook_gives_to_pytest_is_found(
    project: Project, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    project.config.pluginmanager.register(ModuleType("a session"), "session")
    module = project.load(f"""
        import os, pytest, uuid
        KEY = pytest.StashKey()
        class Plugin:
            def __init__(self, name): self.name = name
        def configure(config):
            name = f"run-{{uuid.uuid4()}}"
            {where}
    """)
    names = project.names()
    names.begin()
    try:
        module.configure(project.config)
        assert list(names.findings()) == ["settings.py:7 makes a name of its own: uuid.uuid4()"]
    finally:
        names.end()
        vars(pytest).pop("run_id", None)


def test_what_was_made_before_does_not_count(project: Project) -> None:
    names = project.names()
    names.begin()
    project.load("import uuid\nNAME = uuid.uuid4().hex")
    names.end()
    names.begin()
    names.end()
    assert list(names.findings()) == []


# --- ids of tests ---


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import uuid\nID = str(uuid.uuid4())", "{ID}"),
        ("import uuid\nID = uuid.uuid4().hex", "{ID:.8}-x"),
        ("import tempfile\nID = tempfile.mkdtemp()", "{ID}-2"),
        ("import random\nID = f'db{random.randint(10**5, 10**9)}'", "{ID}"),
        ("import os\nID = f'db{os.getpid()}'", "{ID}"),
    ],
)
def test_there_is_no_reason_if_ids_of_tests_hold_what_was_made(
    project: Project, code: str, name: str
) -> None:
    names = project.names()
    names.begin()
    made = project.load(code).ID
    names.end()
    assert len(list(names.findings())) == 1
    project.ids = ["test_x.py::test[1]", f"test_x.py::test[{name.format(ID=made)}]"]
    assert list(names.findings()) == []


def test_ids_count_that_hold_what_was_worked_out_elsewhere(project: Project) -> None:
    names = project.names()
    names.begin()
    project.load("import tempfile\nFOLDER = tempfile.mkdtemp()")
    module = project.load(
        "import hashlib, uuid\nIDS = [hashlib.md5(uuid.uuid4().bytes).hexdigest()]", "cases.py"
    )
    names.end()
    assert next(names.findings()).startswith("settings.py:2 ")
    project.ids = [f"test_x.py::test[{module.IDS[0]}]"]
    assert list(names.findings()) == []


def test_after_the_first_name_no_other_module_is_looked_into(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_into: list[str | None] = []

    def note(
        spaces: Iterable[Mapping[str, Any]], *args: Any, **options: Any
    ) -> Iterator[tuple[str, str | int]]:
        spaces = list(spaces)
        looked_into.extend(space.get("__file__") for space in spaces)
        return held_values(spaces, *args, **options)

    monkeypatch.setattr(living_names, "held_values", note)
    names = project.names()
    names.begin()
    for number in range(3):
        project.load("import uuid\nNAME = uuid.uuid4().hex", f"settings_{number}.py")
    names.end()
    project.ids = ["test_x.py::test[1-a name]"]
    findings = names.findings()
    assert next(findings).startswith("settings_0.py:2 ")
    assert str(project.root / "settings_1.py") not in looked_into
    assert len(list(findings)) == 2


def test_ids_count_that_hold_something_else_that_was_made(project: Project) -> None:
    names = project.names()
    names.begin()
    module = project.load("import tempfile, uuid\nCASES = [uuid.uuid4()]\nFOLDER = tempfile.mkdtemp()")
    names.end()
    assert len(list(names.findings())) == 1
    project.ids = [f"test_x.py::test[{module.CASES[0]}]"]
    assert list(names.findings()) == []


# --- traces ---

#: What the standard library has, and how it is told that it is as it was.
_PARTS: list[tuple[Any, str]] = [
    (tempfile, "_get_candidate_names"),
    (uuid.UUID, "__init__"),
    (uuid.UUID, "_from_int"),
    (os, "urandom"),
    (os, "getpid"),
    (random, "_urandom"),
    (socket.socket, "bind"),
    (secrets, "choice"),
    *((random.Random, name) for name in ("choice", "choices", "sample", "randint", "randrange", "seed")),
    *(
        (random, name)
        for name in ("choice", "randint", "random", "getrandbits", "seed", "shuffle", "randbytes")
    ),
]


def _state() -> list[Any]:
    return [vars(owner).get(name) for owner, name in _PARTS]


def test_the_standard_library_is_left_as_it_was(project: Project) -> None:
    before = _state()
    names = project.names()
    names.begin()
    assert _state() != before
    names.begin()  # again, as in the process that collects
    names.end()
    after = _state()
    assert all(one is other for one, other in zip(before, after, strict=True))
    names.end()
    assert _state() == after


def test_what_somebody_else_puts_there_meanwhile_stays(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = project.names()
    names.begin()

    def mocked() -> int:
        return 7

    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", mocked)
        names.end()
        assert os.getpid is mocked


def test_modules_have_what_they_import_by_name_meanwhile(project: Project) -> None:
    names = project.names()
    names.begin()
    module = project.load(
        "from os import getpid, urandom\nfrom random import choice, randint, random\n"
        "from uuid import uuid4\n"
        "def pid(get=getpid): return get()"
    )
    names.end()
    assert module.getpid is os.getpid
    assert module.urandom is os.urandom
    assert module.choice is random.choice
    assert module.randint is random.randint
    assert module.random is random.random
    assert pickle.loads(pickle.dumps([module.getpid, module.uuid4, module.choice])) is not None
    assert module.pid() == os.getpid()  # it has kept its own, which goes on working


def test_what_is_kept_elsewhere_meanwhile_is_the_library_s_own(project: Project) -> None:
    names = project.names()
    names.begin()
    module = project.load(
        "import os, random\n"
        "def pick(choice=random.choice): return choice\n"
        "class Kept:\n"
        "    roll, tools, pid, bits = random.randint, [random.choice], os.getpid, random.getrandbits"
    )
    names.end()
    assert module.pick() is random.choice
    assert module.Kept.roll == random.randint
    assert module.Kept.tools[0] is random.choice
    kept = module.Kept()  # what is written in C becomes no method
    assert kept.pid() == os.getpid()
    assert kept.bits(3) < 8


@pytest.mark.parametrize("when", ["watched", "released"])
def test_generators_draw_as_ever(project: Project, when: str) -> None:
    def draw() -> list[object]:
        random.seed(3)
        own = random.Random(3)
        assert own.choice("abc") == random.choice("abc")
        drawn = (
            random.choices("abcdef", k=3),
            random.choices([1, 2], cum_weights=[1, 2]),
            own.sample("abc", 2),
        )
        return [*drawn, random.randrange(0, 10, 2), own.randint(1, 6), random.SystemRandom().choice([1])]

    state = random.getstate()
    expected = draw()
    names = project.names()
    names.begin()
    if when == "released":
        names.end()
    assert draw() == expected
    with pytest.raises(TypeError):
        random.choices([1], 1, 1)  # type: ignore[call-arg, arg-type]
    names.end()
    random.setstate(state)


def test_a_call_succeeds_though_it_cannot_be_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(random.Random):
        def __eq__(self, other: object) -> bool:
            return self is other

    def fail(self: object, file: str) -> bool:
        raise OSError

    monkeypatch.setattr(ProjectFiles, "has", fail)
    names = project.names()
    names.begin()
    try:
        generator = Odd(3)
        generator.seed(3)
        assert generator.choice("a") == "a"
        assert os.getpid() == getpid()
        assert uuid.uuid4().version == 4
        os.rmdir(tempfile.mkdtemp())
        assert len(next(tempfile._get_candidate_names())) == 8  # type: ignore[attr-defined]
        with socket.create_server(("127.0.0.1", 0)):
            pass
    finally:
        names.end()


def test_while_it_is_watched_the_library_looks_as_ever(project: Project) -> None:
    names = project.names()
    names.begin()
    try:
        for thing in (os.getpid, os.urandom, random.Random.choice, tempfile.mkdtemp, uuid.uuid4):
            assert pickle.loads(pickle.dumps(thing)) is thing
        made = uuid.uuid4()
        assert pickle.loads(pickle.dumps(made)) == made
        assert uuid.UUID(bytes=made.bytes, version=4) == made
        assert random.choice.__self__ is random.shuffle.__self__  # type: ignore[attr-defined]

        class Mine(random.Random):
            def random(self) -> float:
                return 0.25

        assert "_randbelow" in vars(Mine)  # it draws from its own `random`
        with socket.socket() as made_socket, pytest.raises(TypeError):
            made_socket.bind()  # type: ignore[call-arg]
    finally:
        names.end()


def test_data_of_any_size_is_made_at_a_small_price(project: Project) -> None:
    names = project.names()
    names.begin()
    project.load("import random\nDATA = [random.choice('abc') + str(random.random()) for _ in range(30_000)]")
    names.end()
    assert random.random() is not None
    assert list(names.findings()) == []


def test_what_was_dropped_is_not_looked_for_holder_by_holder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes tens of milliseconds for each value; what is noted of a value does not hold it."""

    def holder_in_heap(texts: Iterable[str], counts: object) -> None:
        assert list(texts) == []

    monkeypatch.setattr(whole_heap, "holder_in_heap", holder_in_heap)
    drop = (
        "import secrets, tempfile, uuid\nassert uuid.uuid4()\nassert secrets.token_hex(8)\ntempfile.mktemp()"
    )
    assert project.reasons(drop) == []
