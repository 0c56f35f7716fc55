import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { TestCluster } from '../clusters/test-cluster.ts';
import { metricsOf } from '../harness/metrics.ts';
import { defined } from '../../src/lib/assert.ts';
import { tempDir } from '../harness/temp-dir.ts';
import { eventually } from '../harness/wait.ts';
import { filesIn, missingTools, readText, runTool } from './tools.ts';

const ALERTS = 'monitoring/alerts.yaml';
const RULE_TESTS = 'monitoring/alerts-test.yaml';
const dashboards = filesIn('monitoring', '.json');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

interface RuleTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly {
      readonly alertname: string;
      readonly exp_alerts?: readonly { readonly exp_labels: { readonly severity: string } }[];
    }[];
  }[];
}

const { groups } = parse(readText(ALERTS)) as { groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** All expressions of alerts and dashboards, each with its place. */
const expressions = [
  ...rules.map(({ alert, expr }) => ({ place: alert, expr })),
  ...dashboards.flatMap((file) =>
    (JSON.parse(readText(file)) as Dashboard).panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => ({ place: `${file}, ${title}`, expr })),
    ),
  ),
];

/** The metrics that an expression selects, each with the labels that it matches. */
function selectorsOf(expr: string): { name: string; labels: string[] }[] {
  return [...expr.matchAll(/\b(\w+)\{([^}]*)\}/g)].map(([, name = '', matchers = '']) => ({
    name,
    labels: [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label),
  }));
}

/** Labels that Prometheus adds. */
const TARGET_LABELS = new Set(['job', 'instance']);

describe('alerts and dashboards', () => {
  it('are the same in the chart', () => {
    const command = `cp ${ALERTS} ${dashboards.join(' ')} helm/keystead/files/`;
    for (const file of [ALERTS, ...dashboards])
      expect(readText(file.replace('monitoring/', 'helm/keystead/files/')), command).toBe(readText(file));
    expect(filesIn('helm/keystead/files', '').length).toBe(1 + dashboards.length);
  });

  it('select one job in every expression', () => {
    const faults = expressions.filter(({ expr }) => {
      const selectors = selectorsOf(expr);
      return selectors.length === 0 || !selectors.every(({ labels }) => labels.includes('job'));
    });
    expect(faults).toEqual([]);
  });

  it('have panels with a place of their own', () => {
    for (const file of dashboards) {
      const { panels } = JSON.parse(readText(file)) as { panels: { id: number; gridPos: object }[] };
      expect(panels.length).toBeGreaterThan(10);
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      expect(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size).toBe(panels.length);
    }
  });
});

describe('the metrics of alerts and dashboards', () => {
  let cluster: TestCluster;
  /** Each metric of a real member, with the labels of its samples. */
  const found = new Map<string, Set<string>>();
  beforeAll(async () => {
    cluster = await TestCluster.create(
      ['keystead', 'keystead'],
      ['--metrics=extensive', `--keystead-backup-url=${tempDir('backups')}`, '--keystead-backup-interval=1h'],
    );
    await cluster.ctl().ok(['put', 'key', 'value']);
    // Members measure the round trip to each other every few seconds.
    const member = defined(cluster.members[0], 'the cluster has members');
    const text = await eventually('a measured round trip', async () => {
      const metrics = await metricsOf(member);
      return /^etcd_network_peer_round_trip_time_seconds_bucket/m.test(metrics) ? metrics : undefined;
    });
    for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
      const known = found.get(name) ?? new Set();
      for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label);
      found.set(name, known);
    }
  });
  afterAll(async () => cluster.destroy());

  it('exist in a real member, with their labels', () => {
    const missing = expressions.flatMap(({ place, expr }) => {
      const selectors = selectorsOf(expr).filter(({ name }) => name !== 'up');
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels = '']) =>
        labels.split(/, ?/),
      );
      return selectors.flatMap(({ name, labels }) =>
        [...labels, ...grouped]
          .filter((label) => !TARGET_LABELS.has(label))
          .filter((label) => found.get(name)?.has(label) !== true)
          .map((label) => `${place}: ${name} has no label ${label}`)
          .concat(found.has(name) ? [] : [`${place}: no ${name}`]),
      );
    });
    expect(missing).toEqual([]);
  });
});

const missing = missingTools('promtool');
describe.skipIf(missing !== undefined)(`the alerts ${missing ?? ''}`, () => {
  it('are valid', async () => {
    expect(await runTool('promtool', 'check', 'rules', ALERTS)).toMatchObject({ code: 0 });
    const config = ['check', 'config', '--syntax-only', 'compose/prometheus.yaml'];
    expect(await runTool('promtool', ...config)).toMatchObject({ code: 0 });
  });

  it('fire when they should, and only then', async () => {
    const { code, output } = await runTool('promtool', 'test', 'rules', RULE_TESTS);
    expect({ code, output }).toMatchObject({ code: 0 });
  });

  it('have each a test in which it fires, and one in which it does not', () => {
    const { tests } = parse(readText(RULE_TESTS)) as RuleTests;
    const cases = tests.flatMap((test) => test.alert_rule_test);
    const fired = new Set(
      cases.flatMap(({ alertname, exp_alerts = [] }) =>
        exp_alerts.map(({ exp_labels: { severity } }) => `${alertname} ${severity}`),
      ),
    );
    const quiet = new Set(
      cases.filter(({ exp_alerts = [] }) => exp_alerts.length === 0).map(({ alertname }) => alertname),
    );
    const names = rules.map(({ alert, labels }) => `${alert} ${labels.severity}`);
    expect(names.filter((name) => !fired.has(name))).toEqual([]);
    expect(rules.map(({ alert }) => alert).filter((alert) => !quiet.has(alert))).toEqual([]);
  });
});
