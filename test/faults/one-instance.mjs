// One instance that can be killed as a process: it listens at the port that it is told and sends back what it gets.
import { createServer } from "node:http";

createServer((incoming, outgoing) => {
  const chunks = [];
  incoming.on("data", (chunk) => chunks.push(chunk));
  // So that calls are under way when it is killed.
  incoming.on("end", () => setTimeout(() => outgoing.end(Buffer.concat(chunks)), 20));
}).listen(Number(process.argv[2]), "127.0.0.1", function () {
  process.send(this.address().port);
});
process.on("disconnect", () => process.exit(0));
