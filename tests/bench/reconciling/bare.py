"""The least that does the work: a list, a watch, and two writes for each training that is new."""

import asyncio
import json
import ssl
import sys
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from .payload import Payload

AT_ONCE = 16
"""As many as the operator's workers."""
AGENT = "bench-bare"


async def run(namespace: str) -> None:
    """Serve one namespace until killed."""
    configuration = Configuration()
    await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    tls: ssl.SSLContext = RESTClientObject(configuration).ssl_context
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if token := await configuration.get_api_key_with_prefix("BearerToken"):
        headers["Authorization"] = token
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    async with aiohttp.ClientSession(configuration.host, connector=connector, headers=headers) as session:
        await _serve(session, namespace)


async def _serve(session: aiohttp.ClientSession, namespace: str) -> None:
    trainings = f"/apis/yolo.training/v1alpha1/namespaces/{namespace}/yolotrainings"
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    turns, seen, payload = asyncio.Semaphore(AT_ONCE), set[str](), list[Payload]()

    async def handle(body: dict[str, Any]) -> None:
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        async with turns:
            await _write(session, "POST", jobs, payload[0].job(name, uid), "application/json")
            status = payload[0].status(name, uid)
            await _write(
                session, "PATCH", f"{trainings}/{name}/status", status, "application/merge-patch+json"
            )

    async with asyncio.TaskGroup() as group:

        def observe(body: dict[str, Any]) -> None:
            if not payload:
                payload.append(Payload(body))
            if (uid := body["metadata"]["uid"]) not in seen:
                seen.add(uid)
                group.create_task(handle(body))

        async with session.get(trainings) as answer:
            listed = json.loads(await answer.read())
        for body in listed["items"]:
            observe(body)
        watch = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with session.get(trainings, params=watch, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for line in answer.content:
                observe(json.loads(line)["object"])


async def _write(session: aiohttp.ClientSession, verb: str, path: str, data: bytes, kind: str) -> None:
    async with session.request(verb, path, data=data, headers={"Content-Type": kind}) as answer:
        body = await answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{verb} {path}: {answer.status} {body[:500]!r}")


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
