// An instance in a process that can be killed. It listens on a given port and echoes requests.
import { createServer } from "node:http";

createServer((incoming, outgoing) => {
  const chunks = [];
  incoming.on("data", (chunk) => chunks.push(chunk));
  // Delays responses, so that calls are under way when the process is killed.
  incoming.on("end", () => setTimeout(() => outgoing.end(Buffer.concat(chunks)), 20));
}).listen(Number(process.argv[2]), "127.0.0.1", function () {
  process.send(this.address().port);
});
process.on("disconnect", () => process.exit(0));
