import asyncio
import re
import sys
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

before, after = re.split(r'(?<="timestamp":")[^"]*', Path("status.json").read_text())
connections: list[WebSocket] = []


async def broadcast():
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += 1
        await asyncio.sleep(due - loop.time())
        text = before + datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ") + after
        for connection in connections.copy():
            try:
                await connection.send_text(text)
            except (RuntimeError, WebSocketDisconnect):
                pass  # gone; its own handler removes it


@asynccontextmanager
async def lifespan(_app):
    task = asyncio.create_task(broadcast())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def subscribe(connection: WebSocket):
    await connection.accept()
    connections.append(connection)
    try:
        while True:
            await connection.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        connections.remove(connection)


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


Server(
    uvicorn.Config(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        backlog=4096,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="warning",
    )
).run()
