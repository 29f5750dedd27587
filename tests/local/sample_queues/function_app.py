"""An app with queue functions, for the tests of the local host."""

import logging

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("sample")


@app.queue_trigger("message", queue_name="%SAMPLE_QUEUE%", connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    log.info("worked", extra={"text": text, "tries": message.dequeue_count})
    if text.startswith("bad"):
        raise ValueError("this message is never any good")


@app.queue_trigger("message", queue_name="%SAMPLE_QUEUE%-poison", connection="AzureWebJobsStorage")
async def bury(message: func.QueueMessage) -> None:
    log.info("buried", extra={"text": message.get_body().decode()})
