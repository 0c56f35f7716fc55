import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { repositoryRoot, requirePeer } from '../harness/paths.ts';
import { freePort } from '../harness/ports.ts';
import { Program } from '../harness/program.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';

/** A minute of the rules is so many milliseconds in a test. */
const MINUTE_MS = 2_000;
const ROUND_MS = 500;
const SCRAPE_MS = 1_000;

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
}

interface Rules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

/** An alert that Prometheus reports now. */
interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

/** When an alert was first seen in each state, in milliseconds since 1970; undefined for a state not seen. */
export interface AlertTimes {
  readonly pending?: number;
  readonly firing?: number;
}

/**
 * Shortens every duration of the rules, such as `[5m]` and `for: 10m`, so that a test need not wait for minutes. Nothing
 * else is changed.
 */
export function shortened(text: string): Rules {
  const rules = parse(text) as Rules;
  const short = (duration: string): string => {
    const [, count = '', unit = 'm'] = /^(\d+)([mh])$/.exec(duration) ?? [];
    return `${Math.round(Number(count) * MINUTE_MS * (unit === 'h' ? 60 : 1))}ms`;
  };
  return {
    groups: rules.groups.map((group) => ({
      ...group,
      interval: `${ROUND_MS}ms`,
      rules: group.rules.map((rule) => ({
        ...rule,
        expr: rule.expr.replaceAll(/\[(\d+[mh])\]/g, (_, duration: string) => `[${short(duration)}]`),
        ...(rule.for === undefined ? {} : { for: short(rule.for) }),
      })),
    })),
  };
}

/** A real Prometheus with the rules of `monitoring/`, which scrapes members and records when each alert is active. */
export class Prometheus {
  readonly #program: Program;
  readonly #url: string;
  readonly #seen = new Map<string, { pending?: number; firing?: number }>();
  #active: readonly ActiveAlert[] = [];
  #rounds = 0;
  #stopped = false;

  private constructor(program: Program, url: string) {
    this.#program = program;
    this.#url = url;
    void this.#watch();
  }

  /** @param targets `host:port` of the members */
  static async start(targets: readonly string[]): Promise<Prometheus> {
    const folder = tempDir('prometheus');
    mkdirSync(join(folder, 'data'));
    const rules = readFileSync(join(repositoryRoot, 'monitoring/alerts.yaml'), 'utf8');
    writeFileSync(join(folder, 'alerts.yaml'), stringify(shortened(rules)));
    const config = {
      global: {
        scrape_interval: `${SCRAPE_MS}ms`,
        scrape_timeout: `${SCRAPE_MS}ms`,
        evaluation_interval: `${ROUND_MS}ms`,
      },
      rule_files: ['alerts.yaml'],
      scrape_configs: [{ job_name: 'keystead', static_configs: [{ targets }] }],
    };
    writeFileSync(join(folder, 'prometheus.yaml'), stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const program = new Program('prometheus', requirePeer('prometheus'), [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ]);
    const url = `http://${address}`;
    await eventually('Prometheus is ready', async () => {
      program.mustBeAlive();
      return (await fetch(`${url}/-/ready`)).ok;
    });
    const prometheus = new Prometheus(program, url);
    await eventually('all members are scraped', async () => {
      const up = await prometheus.query('up == 1');
      return up.length === targets.length;
    });
    return prometheus;
  }

  /** The values of an expression, by no order. */
  async query(expr: string): Promise<readonly number[]> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expr)}`);
    const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
    return data.result.map(({ value }) => Number(value[1]));
  }

  /** Waits until the rules were evaluated several times with the state as it is now. */
  async settled(): Promise<void> {
    const from = this.#rounds;
    await eventually('the rules are evaluated', () => this.#rounds >= from + 12);
  }

  /** The alerts that were active at any time since the start, as `name severity`. */
  get seen(): string[] {
    return [...this.#seen.keys()].toSorted();
  }

  /** When an alert, given as `name severity`, was first pending and firing. */
  timesOf(alert: string): AlertTimes {
    return this.#seen.get(alert) ?? {};
  }

  /** Waits until an alert fires. */
  async fires(alert: string): Promise<void> {
    await eventually(`${alert} fires`, () => this.timesOf(alert).firing !== undefined, {
      timeoutMs: 60_000,
    });
  }

  /** Waits until an alert is no longer active. */
  async ends(alert: string): Promise<void> {
    await eventually(`${alert} ends`, () => this.#active.every((each) => nameOf(each) !== alert), {
      timeoutMs: 60_000,
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#program.stop();
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, ROUND_MS / 4));
      try {
        const response = await fetch(`${this.#url}/api/v1/alerts`);
        const { data } = (await response.json()) as { data: { alerts: ActiveAlert[] } };
        this.#active = data.alerts;
      } catch {
        // It is stopping, or too busy for this round.
        continue;
      }
      this.#rounds += 1;
      for (const alert of this.#active) {
        const times = this.#seen.get(nameOf(alert)) ?? {};
        times[alert.state] ??= Date.now();
        this.#seen.set(nameOf(alert), times);
      }
    }
  }
}

function nameOf({ labels }: ActiveAlert): string {
  return `${labels['alertname']} ${labels['severity']}`;
}
