import { type ConnectionState, ConsoleConnection } from "./connection.js";
import { byId } from "./dom.js";
import { FaultsSection } from "./faults.js";
import { InstancesSection } from "./instances.js";
import { QueuesSection } from "./queues.js";
import { RequestsSection } from "./requests.js";
import { ServicesSection } from "./services.js";

const STATES: Readonly<Record<ConnectionState, string>> = {
  connecting: "Connecting",
  open: "Live",
  locked: "Locked",
  lost: "Emulator not reachable",
};

const connection = new ConsoleConnection(
  {
    state: (state) => {
      services.show(state.services);
      queues.setQueues(state.queues);
      faults.show(state);
      instances.show(state.instances);
    },
    requests: (changed) => requests.add(changed),
    queues: (samples) => queues.add(samples),
  },
  showConnection,
);
const services = new ServicesSection(byId("services"));
const requests = new RequestsSection(byId("requests"), connection);
const queues = new QueuesSection(byId("queues"));
const faults = new FaultsSection(byId("faults"), connection);
const instances = new InstancesSection(byId("instances"), connection);

byId("address").textContent = location.origin;
byId<HTMLFormElement>("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.unlock(byId<HTMLInputElement>("unlock-token").value);
});
void connection.listen();

function showConnection(state: ConnectionState): void {
  const badge = byId("connection");
  // A live region announces each assignment, even of the same text.
  if (badge.dataset.state === state && badge.textContent === STATES[state]) return;
  // The steps of reconnecting are not announced one by one.
  if (state === "connecting" && badge.dataset.state === "lost") return;
  badge.dataset.state = state;
  badge.textContent = STATES[state];
  byId("unlock").hidden = state !== "locked";
  byId("sections").hidden = state === "locked";
  if (state === "locked") byId("unlock-token").focus();
}
