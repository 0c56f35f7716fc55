import { bounds, type Sample } from './samples.ts';

const WIDTH = 760;
const HEIGHT = 130;
const LEFT = 60;
const GAP = 40;
const COLORS = ['#2f7d4f', '#b3462c', '#35618f', '#8a6d1c', '#7b4a91', '#4d4d4d'];

/** The samples of all members as curves over time, one picture a figure, in one SVG. */
export function curves(title: string, samples: readonly Sample[]): string {
  const figures = Object.entries(bounds) as [keyof typeof bounds, { title: string }][];
  const members = [...new Set(samples.map(({ member }) => member))];
  const lastSecond = Math.max(1, ...samples.map(({ seconds }) => seconds));
  const height = GAP + figures.length * (HEIGHT + GAP);
  const panels = figures.map(([figure, { title: name }], at) => {
    const top = GAP + at * (HEIGHT + GAP);
    const most = Math.max(1e-9, ...samples.map((sample) => sample[figure]));
    const lines = members.map((member, index) => {
      const points = samples
        .filter((sample) => sample.member === member)
        .map((sample) => {
          const x = LEFT + (sample.seconds / lastSecond) * WIDTH;
          const y = top + HEIGHT - (sample[figure] / most) * HEIGHT;
          return `${x.toFixed(1)},${y.toFixed(1)}`;
        });
      const color = COLORS[index % COLORS.length];
      return `<polyline points="${points.join(' ')}" fill="none" stroke="${color}"/>`;
    });
    return [
      `<text x="${LEFT}" y="${top - 8}">${name}</text>`,
      `<text x="${LEFT - 6}" y="${top + 10}" text-anchor="end">${most.toFixed(most < 10 ? 1 : 0)}</text>`,
      `<text x="${LEFT - 6}" y="${top + HEIGHT}" text-anchor="end">0</text>`,
      `<rect x="${LEFT}" y="${top}" width="${WIDTH}" height="${HEIGHT}" fill="none" stroke="lightgray"/>`,
      ...lines,
    ].join('\n');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 20}" height="${height + 10}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="8" y="16" font-size="14">${title}: ${(lastSecond / 60).toFixed(0)} minutes, a colour for each member</text>`,
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}
