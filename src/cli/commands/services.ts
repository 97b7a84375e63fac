import { type Command, Option } from "commander";
import {
  type FindServiceOptions,
  findService,
  listServices,
  type ServiceNetwork,
  type ServiceSummary,
} from "eas-prediction/control";
import { duration } from "../arguments/numbers.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";

interface ControlFlags {
  readonly region?: string;
  readonly controlEndpoint?: string;
  readonly timeout?: number;
}

interface ListFlags extends ControlFlags {
  readonly name?: string;
  readonly status?: string;
  readonly group?: string;
  readonly gateway?: string;
}

interface ShowFlags extends ControlFlags {
  readonly network: ServiceNetwork;
  readonly gateway?: string;
  readonly export?: boolean;
}

/** Adds the `services` command with its subcommands. */
export function addServicesCommand(program: Command, { terminal, signal }: CommandContext): void {
  const services = program.command("services").summary("find services by name, with an AccessKey");
  services.description(
    "Finds services by name. Reads the AccessKey from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET. Changes nothing.",
  );

  const subcommand = (name: string, description: string) => {
    const command = services
      .command(name)
      .description(description)
      .option("-r, --region <id>", "region, such as cn-hangzhou (default: ALIBABA_CLOUD_REGION_ID)")
      .addOption(new Option("--control-endpoint <url>", "address of the control plane, for tests").hideHelp())
      .option("--timeout <duration>", "timeout for each attempt, such as 30s", duration);
    return addJsonOption(command);
  };

  const list = subcommand("list", "Lists the services in a region.")
    .option("--name <text>", "lists only services whose name contains the text")
    .option("--status <status>", "lists only services in this state, such as Running")
    .option("--group <name>", "lists only services in this group")
    .option("--gateway <id>", "lists only services behind this dedicated gateway");
  addExamples(list, [["List all running services", "eas-prediction services list -r cn-hangzhou --status Running"]]);
  list.action(async (flags: ListFlags) => {
    const options = { ...controlOptions(flags), ...filtersOf(flags), signal };
    const progress = terminal.progress("listing services");
    const found: ServiceSummary[] = [];
    try {
      for await (const service of listServices(options)) found.push(service);
    } finally {
      progress.stop();
    }
    await terminal.result(found, () =>
      terminal.table(
        ["name", "status", "instances", "processor"],
        found.map(({ serviceName, status, runningInstances = 0, totalInstances = 0, processor = "" }) => [
          serviceName,
          status,
          `${runningInstances}/${totalInstances}`,
          processor,
        ]),
      ),
    );
  });

  const show = subcommand("show", "Shows the address of a service. Shows the token only with --export.")
    .argument("<name>", "name of the service")
    .addOption(
      new Option("-n, --network <network>", "network of the caller")
        .choices(["internet", "intranet", "vpc"])
        .default("internet"),
    )
    .option("--gateway <id>", "id of a dedicated gateway or load balancer")
    .option("--export", "prints shell commands that set EAS_ENDPOINT, EAS_SERVICE_NAME and EAS_TOKEN");
  addExamples(show, [
    ["Show a service", "eas-prediction services show my_service -r cn-hangzhou"],
    ["Use a service in this shell", 'eval "$(eas-prediction services show my_service -r cn-hangzhou --export)"'],
  ]);
  show.action(async (name: string, flags: ShowFlags) => {
    const { network, gateway } = flags;
    const options: FindServiceOptions = {
      ...controlOptions(flags),
      network,
      signal,
      ...(gateway !== undefined && { gateway }),
    };
    const service = await findService(name, options);
    if (flags.export === true) {
      const { endpoint, serviceName, token } = service;
      const variables = { EAS_ENDPOINT: endpoint, EAS_SERVICE_NAME: serviceName, EAS_TOKEN: token };
      for (const [key, value] of Object.entries(variables)) await terminal.print(`export ${key}=${quoted(value)}`);
      return;
    }
    const fields = service.toJSON();
    const rows = Object.entries(fields).filter(([, value]) => value !== undefined && value !== "");
    await terminal.result(fields, () =>
      terminal.table(
        ["field", "value"],
        rows.map(([key, value]) => [key, String(value)]),
      ),
    );
  });
}

function controlOptions({ region, controlEndpoint, timeout }: ControlFlags) {
  return {
    ...(region !== undefined && { region }),
    ...(controlEndpoint !== undefined && { controlEndpoint }),
    ...(timeout !== undefined && { timeout }),
  };
}

function filtersOf({ name, status, group, gateway }: ListFlags) {
  return {
    ...(name !== undefined && { nameContains: name }),
    ...(status !== undefined && { status }),
    ...(group !== undefined && { group }),
    ...(gateway !== undefined && { gateway }),
  };
}

/** Quotes a value for a shell. The value comes from the network, so the shell must not interpret any character. */
function quoted(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
