"""A bare asyncio server that answers Groq's chat endpoint with prepared bytes, so that the client is what is measured.

`python -m bench.server` prints its port. A streamed answer has as many chunks as the request's `max_tokens` says, each
its own HTTP chunk and write, in the form of recorded traffic; with `temperature` above 0 they come at that many per
second.
"""

import asyncio
import json
import sys

CHUNK = (
    b'data: {"id":"chatcmpl-5d3ac4fb-1c0b-4f7e-8f33-6f1b6c6b4b0a","object":"chat.completion.chunk","created":1771434740,'
    b'"model":"openai/gpt-oss-120b","system_fingerprint":"fp_caa2017b29","choices":[{"index":0,"delta":{"content":" token"},'
    b'"logprobs":null,"finish_reason":null}]}\n\n'
)
FIRST = CHUNK.replace(b'{"content":" token"}', b'{"role":"assistant","content":""}').replace(
    b"}]}\n\n", b'}],"x_groq":{"id":"req_01khrvt32ze9rb75za4xqmdz13"}}\n\n'
)
USAGE = (
    b'{"queue_time":0.004,"prompt_tokens":304,"prompt_time":0.014,"completion_tokens":%d,"completion_time":0.112,'
    b'"total_tokens":353,"total_time":0.126}'
)
LAST = CHUNK.replace(b'{"content":" token"}', b"{}").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nx-request-id: req_01khrvt32ze9rb75za4xqmdz13\r\nx-groq-region: gcp-us-east1\r\n"
    b"x-ratelimit-limit-requests: 500000\r\nx-ratelimit-limit-tokens: 300000\r\nx-ratelimit-remaining-requests: 499999\r\n"
    b"x-ratelimit-remaining-tokens: 299952\r\nx-ratelimit-reset-requests: 172ms\r\nx-ratelimit-reset-tokens: 9ms\r\n"
)
BODY = (
    b'{"id":"chatcmpl-5d3ac4fb-1c0b-4f7e-8f33-6f1b6c6b4b0a","object":"chat.completion","created":1771434740,'
    b'"model":"openai/gpt-oss-120b","choices":[{"index":0,"message":{"role":"assistant","content":"'
    + b"word "
    * 60
    + b'"},'
    b'"logprobs":null,"finish_reason":"stop"}],"usage":' + USAGE % 60 + b',"usage_breakdown":null,'
    b'"system_fingerprint":"fp_caa2017b29","x_groq":{"id":"req_01khrvt32ze9rb75za4xqmdz13"},"service_tier":"on_demand"}'
)


def framed(data: bytes) -> bytes:
    """Write one HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def stream(writer: asyncio.StreamWriter, count: int, rate: float) -> None:
    """Write a streamed answer: one write a chunk, so that the client reads about one chunk at a time."""
    usage = USAGE % count
    last = LAST.replace(b"}]}\n\n", b'}],"x_groq":{"id":"req_01khrvt32ze9rb75za4xqmdz13","usage":' + usage + b"}}\n\n")
    writer.write(HEADERS % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
    writer.write(framed(FIRST))
    loop = asyncio.get_running_loop()
    begin, piece = loop.time(), framed(CHUNK)
    for number in range(count - 2):
        if rate:
            await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        writer.write(piece)
        if not rate:
            await asyncio.sleep(0)
        await writer.drain()
    writer.write(framed(last) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            request = json.loads(await reader.readexactly(size)) if size else {}
            if request.get("stream"):
                await stream(writer, int(request.get("max_tokens") or 100), float(request.get("temperature") or 0))
            else:
                writer.write(HEADERS % b"application/json" + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
                await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        # The client is through, or the measurement is.
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until standard input closes."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
