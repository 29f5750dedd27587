// Follows the JavaScript code of docs/graph-sdk.md: a few calls more, and the results of all of it as JSON.

async function control(action, body) {
  const answer = await fetch(`${process.env.CONTROL}/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

function send(subject) {
  return client.api(`${mailbox}/sendMail`).post({ message: { subject, toRecipients: [grace] } });
}

await control("deliver", { mailbox: "support@contoso.example", message: { subject: "Mail that arrived since" } });
page = await client.api(deltaLink).get();

await control("throttle", { endpoint: "graph", retryAfter: 1 });
await send("Sent after a while");

await control("outage", { endpoint: "graph", mode: "reset" });
const unknown = await send("Sent or not?").catch((error) => [error.statusCode, error.code]);
await control("outage", { endpoint: "graph", mode: "none" });

console.log(JSON.stringify({
  subjects,
  found,
  changed: [changed, page.value].map((messages) => messages.map((message) => message.subject)),
  content: Buffer.from(content).toString(),
  newest: newest.subject,
  mime,
  statuses,
  refusal,
  unknown,
}));
