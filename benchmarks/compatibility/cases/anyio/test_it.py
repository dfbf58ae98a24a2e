import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.mark.parametrize("number", range(5))
async def test_sleeps(number):
    await anyio.sleep(0)


@pytest.fixture
async def stream():
    send, receive = anyio.create_memory_object_stream(1)
    async with send, receive:
        yield send, receive


@pytest.mark.parametrize("number", range(2))
async def test_stream(stream, number):
    send, receive = stream
    await send.send(number)
    assert await receive.receive() == number


async def test_group():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)


async def test_process():
    assert (await anyio.run_process(["echo", "a"])).stdout == b"a\n"


async def test_fails():
    await anyio.sleep(0)
    raise ValueError("in a coroutine")
