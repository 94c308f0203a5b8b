/**
 * `npm run -s worker:user-data -- --url URL --token TOKEN --bundle LINK --region REGION`: the script that makes a worker
 * of a fresh Amazon Linux 2023, for `aws ec2 run-instances --user-data`. See docs/deploy.md.
 */
import { parseArgs } from "node:util";
import { defaultPool } from "../shared/infrastructure/queues.ts";

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    token: { type: "string" },
    bundle: { type: "string" },
    region: { type: "string" },
    pool: { type: "string", default: defaultPool },
    slots: { type: "string" },
    "max-hours": { type: "string", default: "12" },
    node: { type: "string", default: process.versions.node },
  },
});

/** An option that must be there, as one word of a shell. */
function required(name: "url" | "token" | "bundle" | "region"): string {
  const value = values[name];
  if (value === undefined || value === "") {
    process.stderr.write(`worker-user-data: --${name} is missing; see docs/deploy.md\n`);
    process.exit(2);
  }
  return quote(value);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

const maxMinutes = Math.round(Number(values["max-hours"]) * 60);
if (!(maxMinutes > 0)) {
  process.stderr.write("worker-user-data: --max-hours is a number of hours above 0\n");
  process.exit(2);
}

process.stdout.write(`#!/bin/bash
# A Sluice worker on Amazon Linux 2023.
set -euo pipefail
# Whatever goes wrong from here on: the machine ends itself, and with it its cost.
shutdown -h +${maxMinutes}
trap 'shutdown -h +1' ERR

dnf install -y -q docker zstd tar xz
systemctl enable --now docker

case "$(uname -m)" in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
node=node-v${values.node}-linux-$arch
cd /opt
curl -fsSLO --retry 5 "https://nodejs.org/dist/v${values.node}/$node.tar.xz"
curl -fsSL --retry 5 "https://nodejs.org/dist/v${values.node}/SHASUMS256.txt" | grep " $node.tar.xz$" | sha256sum -c -
tar -xJf "$node.tar.xz"
mkdir -p /opt/sluice /var/lib/sluice/work
curl -fsSL --retry 5 -o /opt/sluice/worker.mjs ${required("bundle")}

install -m 600 /dev/null /opt/sluice/env
{
  printf 'SLUICE_URL=%s\\n' ${required("url")}
  printf 'SLUICE_TOKEN=%s\\n' ${required("token")}
  printf 'SLUICE_POOL=%s\\n' ${quote(values.pool)}
  printf 'SLUICE_PROVIDER=ec2\\n'
  printf 'AWS_REGION=%s\\n' ${required("region")}
${values.slots === undefined ? "" : `  printf 'SLUICE_SLOTS=%s\\n' ${quote(values.slots)}\n`}} >> /opt/sluice/env

cat > /etc/systemd/system/sluice-worker.service <<UNIT
[Unit]
Description=Sluice worker
After=docker.service network-online.target
Wants=network-online.target

[Service]
EnvironmentFile=/opt/sluice/env
ExecStart=/opt/$node/bin/node /opt/sluice/worker.mjs
Restart=on-failure
# Longer than a drain takes.
TimeoutStopSec=40

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --now sluice-worker
`);
